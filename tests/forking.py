"""Starts Python programs of the tests by forking a process that has loaded their packages already (Linux).

A new interpreter takes one to two CPU seconds to load Django, Twisted, Celery and the rest, and a run of all tests
starts some hundreds. A forked process has loaded packages and nothing of ours: it reads its settings and sets Django up
itself. The processes of a stack, whose environment is one, are forked by a process that has done that, too (`set_up`).
Where `can_fork` says no, a new interpreter does the same. What `manage.py up` starts (but for tests/forked_up.py), what
chaos tests start anew, and processes in tests of what a process loads are always new interpreters.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import select
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Final

from config.stack import leash
from tests.fork_server import EXIT_CODE, PID

ROOT: Final = Path(__file__).parent.parent
# Modules that import without settings, open nothing, start no thread and bring most of their package with them.
DJANGO: Final = (
    "django.contrib.admin.apps", "django.contrib.contenttypes.apps", "django.contrib.postgres.fields",
    "django.core.asgi", "django.db.backends.postgresql.base", "django.db.migrations.executor", "django.views.debug",
    "django.views.decorators.http", "celery.app", "celery.fixups.django", "celery.loaders.app", "environs", "msgspec",
    "kombu.transport.redis", "opentelemetry.trace.propagation.tracecontext", "prometheus_client.core",
    "psycopg_pool", "puremagic", "re2", "redis", "regex", "requests", "stdnum.iban", "structlog",
)  # fmt: skip
WEB: Final = (
    "autobahn.twisted", "channels.consumer", "channels.routing", "fido2.server", "jwt", "servestatic.middleware",
    "twisted.web.http", "uvloop",
)  # fmt: skip
CELERY: Final = ("celery.apps.worker", "celery.bin.celery", "celery.concurrency.thread")
MODELS: Final = ("httpcore2", "openai", "python_socks.async_.asyncio.v2", "websockets.asyncio.client")
COMMANDS: Final = (*DJANGO, *CELERY)
OF_A_STACK: Final = (*COMMANDS, *WEB, *MODELS)
PRELOADED: Final = {
    "serve": (*DJANGO, *WEB),
    "worker": (*COMMANDS, *MODELS),
    "beat": COMMANDS,
    "tests.commands": COMMANDS,
    "up": COMMANDS,
    "tests.forked_up": OF_A_STACK,
}
ANSWER_SECONDS: Final = 120.0  # of a fork server, which first loads its modules
# Variables (and beginnings of their names) that Python or one of these packages reads while it loads.
READ_WHILE_LOADING: Final = (
    "FORCE_COLOR", "LANG", "LC_", "LD_", "MALLOC_", "NO_COLOR", "OPENAI_LOG", "OTEL_", "PROMETHEUS_", "PYTHON",
)  # fmt: skip


class Forked(subprocess.Popen[bytes]):
    """A process that is not our child: the server that forked it tells how it ended."""

    def __init__(self, command: Sequence[str], pid: int, ended: int) -> None:
        self.args = list(command)
        self.pid = pid
        self.returncode: int | None = None
        self.stdin = self.stdout = self.stderr = None
        self._pipe = ended

    def poll(self) -> int | None:
        return self._wait(0)

    def wait(self, timeout: float | None = None) -> int:
        if (code := self._wait(timeout)) is None:
            assert timeout is not None
            raise subprocess.TimeoutExpired(self.args, timeout)
        return code

    def _wait(self, seconds: float | None) -> int | None:
        if self.returncode is None:
            ready = select.poll()
            ready.register(self._pipe, select.POLLIN)
            if ready.poll(None if seconds is None else seconds * 1000):
                said = os.read(self._pipe, EXIT_CODE.size)
                os.close(self._pipe)
                self.returncode = EXIT_CODE.unpack(said)[0] if said else -9  # it ends with the server
        return self.returncode

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError, OSError):
            if self.returncode is None:
                os.close(self._pipe)


class Control:
    """Our end of the socket of a process that forks for us (tests/fork_server.py). `log`: what it has written."""

    def __init__(self, control: socket.socket, log: IO[bytes]) -> None:
        self._control = control
        self._control.settimeout(ANSWER_SECONDS)
        self._log = log
        self._one_at_a_time = threading.Lock()

    def fork(self, command: Sequence[str], env: Mapping[str, str], files: Mapping[int, int]) -> Forked:
        """Starts `command`: a script or "-m" and a module, and arguments. `files`: ours, by the number it has there."""
        asked = {"command": command, "env": dict(env), "folder": str(ROOT), "files": list(files)}
        with self._one_at_a_time:
            ended, theirs = os.pipe()
            try:
                socket.send_fds(self._control, [json.dumps(asked).encode()], [theirs, *files.values()])
            finally:
                os.close(theirs)
            try:
                reply = self._control.recv(PID.size)
            except TimeoutError:
                raise AssertionError(f"no answer of the fork server in {ANSWER_SECONDS} s: {self._said()}") from None
            if not reply:
                raise AssertionError(f"the fork server ended: {self._said()}")
            return Forked(command, PID.unpack(reply)[0], ended)

    def _said(self) -> str:
        self._log.seek(0)
        return self._log.read().decode(errors="replace")


class ForkServer(Control):
    """One process of tests/fork_server.py that has loaded `modules`. Ends with this process.

    `within`: a server that has loaded some of them, which forks this one with the environment `env` (ours, where it is
    None); it ends with that one.
    """

    def __init__(
        self, modules: Sequence[str], *, within: ForkServer | None = None, env: Mapping[str, str] | None = None
    ) -> None:
        self.env = dict(os.environ if env is None else env)
        control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        super().__init__(control, tempfile.TemporaryFile())  # noqa: SIM115 -- open as long as the server
        with theirs, open(os.devnull) as nothing:  # noqa: PTH123
            number = theirs.fileno()
            command = ["-m", "tests.fork_server", str(number), *modules]
            if within is None:
                self._process: subprocess.Popen[bytes] = leash.start(
                    [sys.executable, *command], cwd=ROOT, output=self._log, pass_fds=[number]
                )
            else:
                files = {0: nothing.fileno(), 1: self._log.fileno(), 2: self._log.fileno(), number: number}
                self._process = within.fork(command, self.env, files)

    def stop(self) -> None:
        """Ends it, and with it the processes that it forked. A second call does nothing."""
        self._control.close()
        leash.end(self._process, seconds=5)
        self._log.close()


def can_fork(env: Mapping[str, str]) -> bool:
    """Whether a process with this environment may begin with what the fork server has loaded in ours."""
    return sys.platform == "linux" and hasattr(os, "pidfd_open") and _read_while_loading(env) == _read_while_loading()


def fork(
    command: Sequence[str], *, env: Mapping[str, str], files: Mapping[int, int], within: ForkServer | None = None
) -> Forked:
    """Starts `manage.py` or "-m" and a module, with arguments, as the first process of a session.

    `files`: what is open in it, by its number there. It is killed when this process ends. `within`: a server of
    `set_up`, which forks it where the environment is the same.
    """
    if within is not None and within.env == dict(env):
        return within.fork(command, env, files)
    return _server(PRELOADED.get(command[1], COMMANDS)).fork(command, env, files)


def set_up(env: Mapping[str, str]) -> ForkServer:
    """A server for the processes of a stack: it has set Django up in this environment."""
    return ForkServer(["tests.set_up"], within=_server(OF_A_STACK), env=env)


def run(
    *command: str, env: Mapping[str, str], stdin: str = "", seconds: float = 50.0
) -> subprocess.CompletedProcess[str]:
    """Runs `manage.py <command>` to its end, in an environment that no stack has (`Commands` serves a stack's)."""
    words = ["manage.py", *command]
    if not can_fork(env):
        return subprocess.run(
            [sys.executable, *words], cwd=ROOT, env=dict(env), input=stdin, capture_output=True, text=True,
            timeout=seconds, check=False, start_new_session=True,
        )  # fmt: skip
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        given.write(stdin.encode())
        given.seek(0)
        process = fork(words, env=env, files={0: given.fileno(), 1: out.fileno(), 2: err.fileno()})
        try:
            code = process.wait(seconds)
        finally:
            if process.poll() is None:
                process.kill()
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(words, code, out.read().decode(), err.read().decode())


def _read_while_loading(env: Mapping[str, str] = os.environ) -> dict[str, str]:
    return {name: value for name, value in env.items() if name.startswith(READ_WHILE_LOADING)}


@functools.cache
def _server(modules: Sequence[str]) -> ForkServer:
    """The server with these modules. Django and Celery are loaded once for all servers that have them."""
    fewer = next(
        (some for some in (COMMANDS, DJANGO) if len(some) < len(modules) and modules[: len(some)] == some), None
    )
    server = ForkServer(modules, within=_server(fewer) if fewer else None)
    atexit.register(server.stop)
    return server
