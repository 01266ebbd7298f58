"""All of Antiphon on one machine: private servers unless others are configured, then web, worker and beat processes.

Order: lock, listening sockets, servers, `prepare`, children, their word that they are ready, `/readyz`. Everything that
can be refused is refused before anything is started.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from config.stack import metrics_ports
from config.stack.environment import child_environment, secrets_of
from config.stack.errors import StackError
from config.stack.folder import close_to_others, socket_folder, take_lock, write_private
from config.stack.logs import EVERY_SECONDS, bound
from config.stack.ports import open_socket, url_of
from config.stack.postgres import USER, PrivatePostgres
from config.stack.prepared import Prepared
from config.stack.preparing import command_of, run_prepare
from config.stack.reach import check_database, check_redis
from config.stack.readiness import await_quiet, await_ready
from config.stack.steps import steps
from config.stack.supervisor import Child, Supervisor
from config.stack.valkey import PrivateValkey

# Ctrl-C takes at most 15 s: children end in parallel, then Valkey and PostgreSQL.
WEB_DRAIN: Final = "2"
WORKER_DRAIN: Final = "3"
CHILD_GRACE: Final = 8.0
DRAIN_MARGIN: Final = 15.0  # if a drain is set: after it, a process hands over what is left
SERVER_GRACE: Final = 2.5
RESTARTS: Final = 5
POLL_SECONDS: Final = 0.1
LEAST_FREE_BYTES: Final = 200 * 2**20


@dataclass(frozen=True)
class Options:
    """The options of `manage.py up`. Empty URLs mean private servers."""

    host: str
    port: int
    web: int
    workers: int
    database_url: str
    redis_url: str
    admin_email: str
    admin_password: str
    origins: tuple[str, ...]
    https: bool  # a proxy in front terminates TLS (config.stack.https)
    stuck_seconds: float
    metrics_host: str = "127.0.0.1"
    metrics_ports: Mapping[str, int | None] = field(default_factory=lambda: {"web": None, "worker": None})


class LocalStack:
    """Files live in `var`, commands run in `root`. Call from one thread; `stop` may follow any step."""

    def __init__(self, root: Path, var: Path, options: Options) -> None:
        self.root = root
        self.var = var
        self.options = options
        self.metrics: dict[str, dict[str, str]] = {}
        self.admin: dict[str, str] = {}
        self.url = ""
        self._lock: IO[str] | None = None
        self._listener: socket.socket | None = None
        self._sockets: Path | None = None
        self._postgres: PrivatePostgres | None = None
        self._valkey: PrivateValkey | None = None
        self.supervisor: Supervisor | None = None

    def start(self, is_over: Callable[[], bool]) -> None:
        """Returns when all processes are ready and `/readyz` is 200, or as soon as `is_over`. Raises `StackError`."""
        self._lock = take_lock(self.var)
        close_to_others(self.var)
        if shutil.disk_usage(self.var).free < LEAST_FREE_BYTES:
            raise StackError(f"Less than 200 MB of disk space are free for {self.var}. Make room, or set ANTIPHON_VAR.")
        listener = self._listener = open_socket(self.options.host, self.options.port)
        port = listener.getsockname()[1]
        self.url = url_of(self.options.host, port)
        self.metrics = metrics_ports.assign(
            {"web": self._names("web"), "worker": self._names("worker")},
            self.options.metrics_ports,
            self.options.metrics_host,
            taken=port,
        )
        database_url, redis_url = self._start_servers()
        write_private(
            self.var / "stack.json",
            json.dumps(
                {"pid": os.getpid(), "url": self.url, "database_url": database_url, "redis_url": redis_url}, indent=1
            ),
        )
        env = self._environment(database_url, redis_url)
        if is_over():
            return
        self.admin = self._prepare(env)
        if is_over():
            return
        supervisor = self.supervisor = Supervisor(env, self.root, stuck_seconds=self.options.stuck_seconds)
        for child in self._children(listener, env):
            supervisor.add(child)
        steps.begin(f"Starting {', '.join(child.name for child in supervisor.children)}")
        supervisor.start()
        await_ready(supervisor, listener, is_over, self._look_after_servers)
        await_quiet(supervisor, is_over)

    def watch(self, is_over: Callable[[], bool]) -> None:
        """Keeps everything running until `is_over`. Raises `StackError` if a server does not come back."""
        assert self.supervisor is not None
        looked = time.monotonic()
        while not is_over():
            if time.monotonic() - looked > EVERY_SECONDS:
                looked = time.monotonic()
                for server in (self._postgres, self._valkey):
                    if server is not None:
                        bound(server.log)
            self._look_after_servers(is_over)
            self.supervisor.look()
            time.sleep(POLL_SECONDS)

    def _look_after_servers(self, is_over: Callable[[], bool]) -> None:
        """Restarts a private server that was ended from outside."""
        assert self.supervisor is not None
        if self._postgres is not None and self._postgres.finish_shutdown():
            self.supervisor.say("up", "postgres was asked to shut down; closing its connections and restarting it")
        for name, server in (("postgres", self._postgres), ("valkey", self._valkey)):
            if server is not None and server.has_ended():
                self.supervisor.say("up", f"{name} ended; restarting it")
                restart(server, is_over)

    def stop(self, is_urgent: Callable[[], bool] = lambda: False) -> None:
        """Stops everything in reverse order, each part within its time limit. `is_urgent`: kill the children now."""
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
            steps.begin("Looking for the PostgreSQL of DATABASE_URL")
            check_database(options.database_url)
            database_url = options.database_url
        else:
            assert self._sockets is not None
            steps.begin("Starting PostgreSQL" if (self.var / "pg").exists() else "Creating PostgreSQL's files")
            self._postgres = PrivatePostgres(
                self.var, sockets=self._sockets / "pg", options={"max_connections": "300", "jit": "off"}
            )
            self._postgres.start()
            self._postgres.create_database(USER)
            database_url = self._postgres.url()
        if options.redis_url:
            steps.begin("Looking for the Redis of REDIS_URL")
            check_redis(options.redis_url)
            return database_url, options.redis_url
        assert self._sockets is not None
        steps.begin("Starting Valkey")
        self._valkey = PrivateValkey(self.var, socket=self._sockets / "valkey.sock")
        self._valkey.start()
        return database_url, self._valkey.url

    def _environment(self, database_url: str, redis_url: str) -> dict[str, str]:
        port = self.url.rpartition(":")[2]
        # Behind TLS nobody comes by http: then this machine's own http addresses are no origins of ours.
        names = () if self.options.https else ("127.0.0.1", "localhost", "[::1]")
        ours = {f"http://{name}:{port}" for name in names} | ({self.url} if names else set())
        env = {
            **child_environment(),
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "HTTPS": "1" if self.options.https else "0",
            "ALLOWED_ORIGINS": ",".join([*self.options.origins, *sorted(ours - set(self.options.origins))]),
            "DRAIN_SECONDS": os.environ.get("DRAIN_SECONDS", WEB_DRAIN),
            "WORKER_DRAIN_SECONDS": os.environ.get("WORKER_DRAIN_SECONDS", WORKER_DRAIN),
            "PYTHONUNBUFFERED": "1",
        }
        if sys.stdout.isatty():
            env["FORCE_COLOR"] = "1"
        return env

    def _prepare(self, env: dict[str, str]) -> dict[str, str]:
        options = self.options
        prepared = Prepared(self.root, self.var, env["DATABASE_URL"])
        if (email := prepared.admin()) is not None:
            return {"email": email, "password": ""}
        steps.begin("Preparing the database and the static files")
        secret = {"ADMIN_PASSWORD": options.admin_password} if options.admin_password else {}
        found = run_prepare(command_of(options.admin_email), self.root, env | secret, steps.begin)
        prepared.remember()
        return found

    def metrics_places(self) -> list[str]:
        """The addresses of the metrics ports; a port that was chosen freely is in the logs."""
        host = self.options.metrics_host
        ports = {name: next(iter(variables.values())) for name, variables in self.metrics.items()}
        return [f"{name} {host}:{port}" for name, port in ports.items() if port != "0"]

    def _names(self, kind: str) -> list[str]:
        count = self.options.web if kind == "web" else self.options.workers
        return [f"{kind}{number}" for number in range(1, count + 1)]

    def _children(self, listener: socket.socket, env: Mapping[str, str]) -> list[Child]:
        manage = [sys.executable, "manage.py"]
        fd = listener.fileno()
        web_grace, worker_grace = grace("DRAIN_SECONDS", env), grace("WORKER_DRAIN_SECONDS", env)
        return [
            Child("beat", [*manage, "beat"], grace=CHILD_GRACE),
            *(
                Child(
                    name,
                    [*manage, "worker", f"--name={name}"],
                    grace=worker_grace,
                    env={**self.metrics.get(name, {}), **secrets_of("worker")},
                )
                for name in self._names("worker")
            ),
            *(
                Child(
                    name,
                    [*manage, "serve", f"--fd={fd}"],
                    grace=web_grace,
                    pass_fds=(fd,),
                    env={**self.metrics.get(name, {}), **secrets_of("web")},
                )
                for name in self._names("web")
            ),
        ]


def grace(variable: str, env: Mapping[str, str]) -> float:
    """Seconds that a process gets to end: more than `CHILD_GRACE` if its drain is longer."""
    return max(CHILD_GRACE, float(env[variable]) + DRAIN_MARGIN) if os.environ.get(variable) else CHILD_GRACE


def restart(server: PrivatePostgres | PrivateValkey, is_over: Callable[[], bool]) -> None:
    """Restarts a server, with retries: the remaining processes of a killed PostgreSQL need a moment to end.

    Returns early when `is_over`. Raises `StackError` when the server does not come back.
    """
    for attempt in range(1, RESTARTS + 1):
        time.sleep(1)
        if is_over():
            return
        try:
            server.start()
        except StackError:
            if attempt == RESTARTS:
                raise
        else:
            return
