"""All of Antiphon on one machine: private servers where none are named, then web, worker and clock processes.

Order: lock, listening socket, servers, `prepare`, children, `/readyz`. Everything that can be refused is refused
before anything is started.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from config.stack.errors import StackError
from config.stack.folder import socket_folder, take_lock, write_private
from config.stack.logs import EVERY_SECONDS, bound
from config.stack.ports import is_loopback, open_socket, url_of
from config.stack.postgres import USER, PrivatePostgres
from config.stack.reach import check_database, check_redis
from config.stack.supervisor import Child, Supervisor
from config.stack.valkey import PrivateValkey

READY_SECONDS: Final = 90.0
# Ctrl-C is over within 15 s: children end side by side, then Redis and PostgreSQL.
WEB_DRAIN: Final = "2"
WORKER_DRAIN: Final = "3"
CHILD_GRACE: Final = 8.0
SERVER_GRACE: Final = 2.5
RESTARTS: Final = 5
POLL_SECONDS: Final = 0.1
LEAST_FREE_BYTES: Final = 200 * 2**20


@dataclass(frozen=True)
class Options:
    """What `manage.py up` was asked for. Empty URLs mean private servers."""

    host: str
    port: int
    web: int
    workers: int
    database_url: str
    redis_url: str
    admin_email: str
    admin_password: str
    origins: tuple[str, ...]
    stuck_seconds: float


class LocalStack:
    """Files live in `var`, commands run in `root`. Call from one thread; `stop` may follow any step."""

    def __init__(self, root: Path, var: Path, options: Options) -> None:
        self.root = root
        self.var = var
        self.options = options
        self.admin: dict[str, str] = {}
        self.url = ""
        self._lock: IO[str] | None = None
        self._listener: socket.socket | None = None
        self._sockets: Path | None = None
        self._postgres: PrivatePostgres | None = None
        self._valkey: PrivateValkey | None = None
        self.supervisor: Supervisor | None = None

    def start(self, is_over: Callable[[], bool]) -> None:
        """Returns when `/readyz` is 200, or when `is_over` says that nobody waits any more. Raises `StackError`."""
        self._lock = take_lock(self.var)
        if shutil.disk_usage(self.var).free < LEAST_FREE_BYTES:
            raise StackError(f"Less than 200 MB are free where {self.var} lies: make room, or set ANTIPHON_VAR.")
        listener = self._listener = open_socket(self.options.host, self.options.port)
        self.url = url_of(self.options.host, listener.getsockname()[1])
        database_url, redis_url = self._start_servers()
        write_private(
            self.var / "stack.json",
            json.dumps(
                {"pid": os.getpid(), "url": self.url, "database_url": database_url, "redis_url": redis_url}, indent=1
            ),
        )
        env = self._environment(database_url, redis_url)
        self.admin = self._prepare(env)
        if is_over():
            return
        supervisor = self.supervisor = Supervisor(env, self.root, stuck_seconds=self.options.stuck_seconds)
        for child in self._children(listener):
            supervisor.add(child)
        supervisor.start()
        self._await_ready(supervisor, is_over)

    def watch(self, is_over: Callable[[], bool]) -> None:
        """Keeps all of it running until `is_over`. Raises `StackError` when a server does not come back."""
        assert self.supervisor is not None
        looked = time.monotonic()
        while not is_over():
            if time.monotonic() - looked > EVERY_SECONDS:
                looked = time.monotonic()
                for server in (self._postgres, self._valkey):
                    if server is not None:
                        bound(server.log)
            for name, server in (("postgres", self._postgres), ("valkey", self._valkey)):
                if server is not None and server.has_ended():
                    self.supervisor.say("up", f"{name} ended; starting it again")
                    restart(server)
            self.supervisor.look()
            time.sleep(POLL_SECONDS)

    def stop(self, is_urgent: Callable[[], bool] = lambda: False) -> None:
        """Ends what was started, last first, each part within its own limit. `is_urgent`: kill the children now."""
        if self._listener is not None:
            self._listener.close()
        if self.supervisor is not None:
            self.supervisor.stop(is_urgent)
        if self._valkey is not None:
            self._valkey.stop(seconds=SERVER_GRACE)
        if self._postgres is not None:
            self._postgres.stop(seconds=SERVER_GRACE)
        if self._sockets is not None and self._sockets.parent != self.var:
            shutil.rmtree(self._sockets, ignore_errors=True)
        if self._lock is not None:
            (self.var / "stack.json").unlink(missing_ok=True)
            self._lock.close()

    def _start_servers(self) -> tuple[str, str]:
        options = self.options
        if not (options.database_url and options.redis_url):
            self._sockets = socket_folder(self.var)
        if options.database_url:
            check_database(options.database_url)
            database_url = options.database_url
        else:
            assert self._sockets is not None
            self._postgres = PrivatePostgres(
                self.var, sockets=self._sockets / "pg", options={"max_connections": "300", "jit": "off"}
            )
            self._postgres.start()
            self._postgres.create_database(USER)
            database_url = self._postgres.url()
        if options.redis_url:
            check_redis(options.redis_url)
            return database_url, options.redis_url
        assert self._sockets is not None
        self._valkey = PrivateValkey(self.var, socket=self._sockets / "valkey.sock")
        self._valkey.start()
        return database_url, self._valkey.url

    def _environment(self, database_url: str, redis_url: str) -> dict[str, str]:
        port = self.url.rpartition(":")[2]
        ours = {self.url, *(f"http://{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]"))}
        env = {
            **os.environ,
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "ALLOWED_ORIGINS": ",".join([*self.options.origins, *sorted(ours - set(self.options.origins))]),
            "DRAIN_SECONDS": os.environ.get("DRAIN_SECONDS", WEB_DRAIN),
            "WORKER_DRAIN_SECONDS": os.environ.get("WORKER_DRAIN_SECONDS", WORKER_DRAIN),
            "PYTHONUNBUFFERED": "1",
        }
        if is_loopback(self.options.host):
            env.setdefault("HTTPS", "0")  # a page of this machine, over http
        if sys.stdout.isatty():
            env["FORCE_COLOR"] = "1"
        return env

    def _prepare(self, env: dict[str, str]) -> dict[str, str]:
        options = self.options
        command = [sys.executable, "manage.py", "prepare", f"--admin-email={options.admin_email}"]
        process = subprocess.run(
            command,
            cwd=self.root,
            env={**env, "ADMIN_PASSWORD": options.admin_password},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if process.returncode != 0:
            lines = [line for line in process.stderr.strip().splitlines() if line.strip()] or ["it said nothing."]
            raise StackError(f"The database could not be prepared: {lines[-1].strip()}")
        found: dict[str, str] = json.loads(process.stdout.strip().splitlines()[-1])
        return found

    def _children(self, listener: socket.socket) -> list[Child]:
        manage = [sys.executable, "manage.py"]
        fd = listener.fileno()
        return [
            Child("beat", [*manage, "beat"], grace=CHILD_GRACE),
            *(
                Child(
                    f"worker{number}",
                    [*manage, "worker", f"--name=worker{number}"],
                    grace=CHILD_GRACE,
                    ready_words=b" ready.",
                )
                for number in range(1, self.options.workers + 1)
            ),
            *(
                Child(f"web{number}", [*manage, "serve", f"--fd={fd}"], grace=CHILD_GRACE, pass_fds=(fd,))
                for number in range(1, self.options.web + 1)
            ),
        ]

    def _await_ready(self, supervisor: Supervisor, is_over: Callable[[], bool]) -> None:
        assert self._listener is not None
        deadline = time.monotonic() + READY_SECONDS
        host, port = self._listener.getsockname()[:2]
        if host in ("0.0.0.0", "::"):  # noqa: S104 -- compared, not bound
            host = "127.0.0.1" if host == "0.0.0.0" else "::1"  # noqa: S104 -- likewise
        said = "nothing"
        while not is_over():
            supervisor.look()
            ready, said = ask_ready(host, port)
            waiting = [child.name for child in supervisor.children if not child.ready]
            if ready and not waiting:
                return
            if broken := [child.name for child in supervisor.children if child.failures > 1]:
                raise StackError(f"{broken[0]} does not start: its own lines above say why.")
            if time.monotonic() > deadline:
                raise StackError(f"Not ready after {READY_SECONDS:.0f} s: /readyz says {said}, {waiting} wait.")
            time.sleep(POLL_SECONDS)


def restart(server: PrivatePostgres | PrivateValkey) -> None:
    """Starts a server again, patiently: what is left of a killed PostgreSQL takes a moment to notice."""
    for attempt in range(1, RESTARTS + 1):
        time.sleep(1)
        try:
            server.start()
        except StackError:
            if attempt == RESTARTS:
                raise
        else:
            return


def ask_ready(host: str, port: int) -> tuple[bool, str]:
    """Whether `/readyz` is 200, and what it said."""
    connection = http.client.HTTPConnection(host, port, timeout=3)
    try:
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        return response.status == 200, response.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return False, type(error).__name__
    finally:
        connection.close()


class Stopped:
    """Signals that end `up`: the first asks, the second insists. Call the instance to learn whether one came."""

    def __init__(self) -> None:
        self.count = 0
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN:  # under nohup
                signal.signal(number, self._note)

    def _note(self, *_args: object) -> None:
        self.count += 1

    def __call__(self) -> bool:
        return self.count > 0

    def insists(self) -> bool:
        return self.count > 1
