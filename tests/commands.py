"""`manage.py` commands of a stack, each in a process of its own, without loading Django anew for each.

One process sets Django up with the stack's environment and then forks for every command. A command begins as it does
after `python manage.py`: no connection is open and nothing is cached, for the process that forks never runs one itself.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

from tests import forking

ROOT = Path(__file__).parent.parent
SECONDS = 50.0  # for one command, where nothing else is said


class Done(NamedTuple):
    """How a command ended; a signal's code is negative."""

    code: int
    out: str
    err: str


class Commands:
    """Runs commands in an environment, each for `seconds` at most. The process that forks starts with the first."""

    def __init__(self, env: Mapping[str, str], *, seconds: float = SECONDS) -> None:
        self.env = dict(env)
        self.server: forking.ForkServer | None = None  # one that has set Django up in this environment
        self._seconds = seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: IO[str] | None = None  # its input and its output
        self._one_at_a_time = threading.Lock()

    def run(self, *command: str, stdin: str | None = None) -> Done:
        """Runs `manage.py <command>` to its end, with `stdin` or nothing as its input."""
        with self._one_at_a_time:
            pipe = self._pipe or self._start()
            pipe.write(json.dumps({"command": command, "stdin": stdin, "seconds": self._seconds}) + "\n")
            pipe.flush()
            if not (line := pipe.readline()):
                assert self._process is not None
                raise AssertionError(f"the process for commands ended with {self._process.wait(5)}")
            return Done(**json.loads(line))

    def stop(self) -> None:
        """Ends the process, which a closed input tells to."""
        process, self._process = self._process, None
        pipe, self._pipe = self._pipe, None
        if process is not None and pipe is not None:
            pipe.close()
            process.wait(10)

    def _start(self) -> IO[str]:
        command = ["-m", "tests.commands"]
        ours, theirs = socket.socketpair()
        with ours, theirs:
            number = theirs.fileno()
            if forking.can_fork(self.env):
                files = {0: number, 1: number, 2: 2}
                self._process = forking.fork(command, env=self.env, files=files, within=self.server)
            else:
                self._process = subprocess.Popen(
                    [sys.executable, *command], cwd=ROOT, env=self.env, stdin=number, stdout=number
                )
            self._pipe = ours.makefile("rw")
        return self._pipe


def _serve() -> None:
    """Reads commands, one JSON object a line, and writes how each ended."""
    import manage  # as `manage.py` does, up to the command
    from config.env import read_settings

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    read_settings()
    import django

    django.setup()
    for line in sys.stdin:
        asked = json.loads(line)
        with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            stdin.write((asked["stdin"] or "").encode())
            stdin.seek(0)
            pid = os.fork()
            if pid == 0:
                for number, file in enumerate((stdin, out, err)):
                    os.dup2(file.fileno(), number)
                sys.stdin = open(0, closefd=False)  # noqa: SIM115 -- the old one has read ahead
                _become(manage.main, asked["command"])
            done: dict[str, Any] = {"code": _await(pid, asked["seconds"])}
            for name, file in (("out", out), ("err", err)):
                file.seek(0)
                done[name] = file.read().decode(errors="replace")
        print(json.dumps(done), flush=True)


def _become(main: Any, command: Sequence[str]) -> None:
    """Runs the command and ends this process with its code."""
    sys.argv = ["manage.py", *command]
    code = 0
    try:
        main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        if isinstance(ended.code, str):
            print(ended.code, file=sys.stderr)
    except BaseException:
        code = 1
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _await(pid: int, seconds: float) -> int:
    deadline = time.monotonic() + seconds
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            os.kill(pid, 9)
            deadline += 5
        time.sleep(0.01)


if __name__ == "__main__":
    _serve()
