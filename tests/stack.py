"""The real thing for tests: web, worker and clock processes against their own database and Redis.

    def test_it(live):
        stack = live(web=2, workers=1, env={"OPENAI_BASE_URL": fake.url})
        stack.webs[0].kill(signal.SIGKILL); stack.webs[0].restart()

Each has its own database (migrated, with Alice, Bob and Mallory), Redis and free ports. Its processes end with a test.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
from psycopg.rows import dict_row

from config.stack import leash
from config.stack.postgres import PrivatePostgres
from config.stack.valkey import PrivateValkey
from tests import collected, forking, log_ins, templates
from tests.commands import Commands
from tests.servers import FAST, FOREIGN, UNLIMITED, servers

ROOT, PASSWORD = templates.ROOT, templates.PASSWORD
READY_SECONDS = 40.0


class NotReadyError(AssertionError):
    """A process ended or was not ready in time; carries the end of its log."""


class Process:
    """One `manage.py` process. Its output goes to `log`."""

    forked = True  # from a process that has loaded Django (tests/forking.py); otherwise a new interpreter
    forked_again = True  # the same for later starts
    root = ROOT  # the installation that it belongs to

    def __init__(self, name: str, command: Iterable[str], env: Mapping[str, str], folder: Path) -> None:
        self.name = name
        self.command = list(command)
        self.env = dict(env)
        self.log = folder / f"{name}.log"
        self.popen: subprocess.Popen[bytes] | None = None
        self.server: forking.ForkServer | None = None  # its stack's

    @property
    def pid(self) -> int:
        assert self.popen is not None, f"{self.name} was not started"
        return self.popen.pid

    def start(self, *, listener: socket.socket | None = None) -> None:
        """Starts it; does not wait until it is ready."""
        self.said_before = len(self.output())
        forked = self.forked_again if self.log.exists() else self.forked
        passed = [listener.fileno()] if listener else []
        command = ["manage.py", *self.command, *(f"--fd={number}" for number in passed)]
        with self.log.open("ab") as log, open(os.devnull) as nothing:  # noqa: PTH123
            if forked and self.root == ROOT and forking.can_fork(self.env):
                files = {0: nothing.fileno(), 1: log.fileno(), 2: log.fileno(), **{number: number for number in passed}}
                self.popen = forking.fork(command, env=self.env, files=files, within=self.server)
            else:
                self.popen = leash.start(
                    [sys.executable, *command], env=self.env, cwd=self.root, output=log, pass_fds=passed
                )

    def kill(self, sig: signal.Signals = signal.SIGKILL) -> None:
        """Sends a signal and returns at once."""
        assert self.popen is not None
        self.popen.send_signal(sig)

    def wait(self, seconds: float = 20.0) -> int:
        """Waits for its end; its exit code (minus the signal's number when a signal ended it)."""
        assert self.popen is not None
        return self.popen.wait(seconds)

    def stop(self, seconds: float = 10.0) -> None:
        if self.popen is not None:
            leash.end(self.popen, seconds=seconds)
            self.popen = None

    def has_ended(self) -> bool:
        return self.popen is None or self.popen.poll() is not None

    def output(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def await_output(self, text: str, seconds: float = READY_SECONDS) -> None:
        """Waits until `text` stands in its log, since it was started."""
        self._await(lambda: text in self.output()[self.said_before :], f"{text!r} in its log", seconds)

    def _await(self, is_so: Callable[[], bool], what: str, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not is_so():
            assert self.popen is not None
            if self.popen.poll() is not None:
                raise NotReadyError(f"{self.name} ended with {self.popen.returncode}:\n{self.output()[-4000:]}")
            if time.monotonic() > deadline:
                raise NotReadyError(f"{self.name}: no {what} after {seconds} s:\n{self.output()[-4000:]}")
            time.sleep(0.05)


class Web(Process):
    """A web process on a port of its own, which it keeps over restarts."""

    def __init__(self, name: str, env: Mapping[str, str], folder: Path, listener: socket.socket) -> None:
        super().__init__(name, ["serve"], env, folder)
        self._listener: socket.socket | None = listener
        self.port: int = listener.getsockname()[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, *, listener: socket.socket | None = None) -> None:
        listener = listener or self._listener or socket.create_server(("127.0.0.1", self.port), backlog=1024)
        super().start(listener=listener)
        listener.close()  # the process has it now: when that is gone, connecting is refused
        self._listener = None

    def restart(self) -> None:
        """Starts it again on its port and waits until it is ready."""
        self.stop()
        self.start()
        self.await_ready()

    def status(self, path: str = "/readyz") -> int:
        """The status of a GET, or 0 when nobody answers."""
        return get_status(self.url, path)

    def await_ready(self, seconds: float = READY_SECONDS) -> None:
        self._await(lambda: self.status() == 200, "200 from /readyz", seconds)


class Worker(Process):
    def restart(self) -> None:
        self.stop()
        self.start()
        self.await_ready()

    def await_ready(self, seconds: float = READY_SECONDS) -> None:
        self.await_output(" ready.", seconds)


class Stack:
    """Processes that belong together. `url` is the first web process's; all of them are allowed origins."""

    def __init__(
        self,
        *,
        web: int,
        workers: int,
        beat: bool,
        env: Mapping[str, str],
        own_postgres: bool,
        env_of: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="live-", dir=servers.folder))
        self.redis = PrivateValkey(self.folder / "r")
        self.postgres = templates.make_server(self.folder / "p", FAST) if own_postgres else servers.postgres
        self.own_postgres = own_postgres
        self.database = self.folder.name.replace("-", "_").lower()
        listeners = [socket.create_server(("127.0.0.1", 0), backlog=1024) for _ in range(web)]
        addresses = [f"http://127.0.0.1:{listener.getsockname()[1]}" for listener in listeners]
        self.env = {
            **{name: value for name, value in os.environ.items() if name not in FOREIGN},
            **servers.environment(),
            **collected.environment(),
            "ANTIPHON_VAR": str(self.folder / "var"),
            "DATABASE_URL": self.postgres.url(self.database),
            "REDIS_URL": self.redis.url,
            "ALLOWED_ORIGINS": ",".join(addresses),
            "DRAIN_SECONDS": "2",
            "LOG_FORMAT": "json",
            **UNLIMITED,
            **env,
        }
        self.webs = [Web(f"web{number}", self.env, self.folder, one) for number, one in enumerate(listeners, 1)]
        names = [f"worker{number}" for number in range(1, workers + 1)]
        self.workers = [Worker(name, ["worker", f"--name={name}"], self.env, self.folder) for name in names]
        self.beat = Process("beat", ["beat"], self.env, self.folder) if beat else None
        for process in self.processes:
            process.env.update((env_of or {}).get(process.name, {}))
        self.commands = Commands(self.env)
        self.server: forking.ForkServer | None = None

    @property
    def url(self) -> str:
        return self.webs[0].url

    @property
    def processes(self) -> list[Process]:
        return [*self.webs, *self.workers, *([self.beat] if self.beat else [])]

    def start(self) -> None:
        self.redis.start()
        if self.own_postgres:
            templates.install(self.postgres, servers.environment())
            self.postgres.start()
        make_database(self.postgres, self.database)
        if forking.can_fork(self.env):
            self.server = self.commands.server = forking.set_up(self.env)
        for process in self.processes:
            process.server = self.server
            process.start()
        started: list[Web | Worker] = [*self.webs, *self.workers]
        for one in started:
            one.await_ready()

    def stop(self) -> None:
        log_ins.forget(web.url for web in self.webs)
        self.commands.stop()
        for process in self.processes:
            process.kill() if process.popen and process.popen.poll() is None else None
        for process in self.processes:
            process.stop()
        if self.server is not None:
            self.server.stop()
        self.redis.stop()
        if self.own_postgres:
            self.postgres.stop()
        else:
            templates.in_server(self.postgres, f'DROP DATABASE IF EXISTS "{self.database}" WITH (FORCE)')

    def sql(self, query: str, *args: Any) -> list[dict[str, Any]]:
        """Rows of a query in this stack's database."""
        with psycopg.connect(self.env["DATABASE_URL"], row_factory=dict_row) as connection:
            cursor = connection.execute(query, args)
            return cursor.fetchall() if cursor.description else []

    def manage(self, *command: str, stdin: str | None = None) -> str:
        """Runs a `manage.py` command; its output. Raises when it fails."""
        done = self.commands.run(*command, stdin=stdin)
        if done.code != 0:
            raise NotReadyError(f"manage.py {' '.join(command)} ended with {done.code}:\n{done.out}{done.err}")
        return done.out

    def add_user(self, name: str, **fields: object) -> str:
        """Makes a person with everybody's password; the e-mail address. A name may be asked for again and again."""
        email = f"{name.lower()}-{os.urandom(3).hex()}@example.org"
        options = {"name": name, **fields}
        script = f"from accounts.models import User; User.objects.create_user({email!r}, {PASSWORD!r}, **{options!r})"
        self.manage("shell", "--no-imports", "-c", script)
        return email

    def logs(self) -> str:
        return "\n".join(f"=== {process.name}\n{process.output()[-6000:]}" for process in self.processes)


def get_status(url: str, path: str) -> int:
    """The status of a GET, or 0 when nobody answers."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def make_database(postgres: PrivatePostgres, name: str) -> None:
    """A new database of a server that has the templates: migrated, with Alice, Bob and Mallory."""
    templates.in_server(postgres, f'CREATE DATABASE "{name}" TEMPLATE {templates.LIVE} STRATEGY file_copy')


@contextlib.contextmanager
def run_stack(
    *,
    web: int = 1,
    workers: int = 1,
    beat: bool = False,
    env: Mapping[str, str] | None = None,
    own_postgres: bool = False,
    env_of: Mapping[str, Mapping[str, str]] | None = None,
) -> Generator[Stack, None, None]:
    """A running stack; prints its logs when the block fails. `own_postgres`: a server of its own, to be restarted.
    `env_of`: what only one process has in its environment, by its name (web1, worker2, beat).
    """
    stack = Stack(web=web, workers=workers, beat=beat, env=env or {}, own_postgres=own_postgres, env_of=env_of)
    try:
        stack.start()
        yield stack
    except BaseException:
        print(stack.logs())
        raise
    finally:
        stack.stop()
