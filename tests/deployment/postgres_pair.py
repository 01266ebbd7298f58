"""A PostgreSQL as Debian packages it, or of another version, and a replica that streams from it."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import Final

import psycopg

from config.stack.account import Account
from tests.deployment.servers import Server
from tests.rabbitmq import free_ports

PACKAGED: Final = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
LIMITS: Final = ("max_connections=60", "shared_buffers=64MB", "fsync=off", "log_min_messages=warning")


class PostgresPair:
    """`primary` and `replica` in `folder`, which PostgreSQL's account may enter. Both log to `log` in their folders."""

    def __init__(self, folder: Path, programs: Path | None = None) -> None:
        self.programs = programs or PACKAGED[-1]
        self.account = Account()
        self.folder = folder
        if self.account.other:
            os.chown(folder, self.account.uid, self.account.gid)
        self.ports = free_ports(2)
        self.primary = self._server("primary", self.ports[0])
        self.replica = self._server("replica", self.ports[1], "log_statement=all")

    def start(self) -> None:
        self.start_primary()
        self._run(
            "pg_basebackup", "-D", str(self.folder / "replica"), "-R", "-X", "stream", "-c", "fast", "-h", "127.0.0.1",
            "-p", str(self.ports[0]), "-U", "antiphon",
        )  # fmt: skip
        self.replica.start()
        self._await(self.ports[1], "antiphon")

    def start_primary(self) -> None:
        """The primary alone, with an empty database."""
        self._run("initdb", "-D", str(self.folder / "primary"), "-U", "antiphon", "-A", "trust", "-E", "UTF8")
        self.primary.start()
        self._await(self.ports[0], "postgres")
        with psycopg.connect(self._url(self.ports[0], "postgres"), autocommit=True) as connection:
            connection.execute("CREATE DATABASE antiphon")

    def stop(self) -> None:
        self.replica.stop()
        self.primary.stop()

    @property
    def url(self) -> str:
        return self._url(self.ports[0])

    @property
    def replica_url(self) -> str:
        return self._url(self.ports[1])

    def replica_log(self) -> str:
        return self.replica.log.read_text(errors="replace")

    def await_replay(self) -> None:
        """Waits until the replica has all that the primary has written."""
        with psycopg.connect(self.url) as primary, psycopg.connect(self.replica_url, autocommit=True) as replica:
            [written] = primary.execute("SELECT pg_current_wal_lsn()::text").fetchone() or [""]
            deadline = time.monotonic() + 20
            while replica.execute("SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", [written]).fetchone() != (True,):
                assert time.monotonic() < deadline, "the replica does not follow"
                time.sleep(0.05)

    def _url(self, port: int, database: str = "antiphon") -> str:
        return f"postgresql://antiphon@127.0.0.1:{port}/{database}"

    def _server(self, name: str, port: int, *more: str) -> Server:
        options = [f"port={port}", "listen_addresses=127.0.0.1", f"unix_socket_directories={self.folder}"]
        command = [*self.account.prefix, str(self.programs / "postgres"), "-D", str(self.folder / name)]
        for option in (*options, *LIMITS, *more):
            command += ["-c", option]
        return Server(self.folder, command, port, log=self.folder / f"{name}.log")

    def _run(self, program: str, *args: str) -> None:
        command = [*self.account.prefix, str(self.programs / program), *args]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def _await(self, port: int, database: str) -> None:
        deadline = time.monotonic() + 20
        while True:
            try:
                psycopg.connect(self._url(port, database), connect_timeout=2).close()
            except psycopg.OperationalError:
                assert time.monotonic() < deadline
                time.sleep(0.1)
            else:
                return
