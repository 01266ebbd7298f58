"""`manage.py` commands of a stack, each in a process of its own, without loading Django anew for each.

One process loads Django with the stack's environment and then forks for every command. A command begins as it does
after `python manage.py`: no connection is open and nothing is cached, for the process that forks never runs one itself.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parent.parent
SECONDS = 50.0  # for one command


class Done(NamedTuple):
    """How a command ended; a signal's code is negative."""

    code: int
    out: str
    err: str


class Commands:
    """Runs commands in an environment. The process that forks starts with the first of them."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self.env = dict(env)
        self._process: subprocess.Popen[str] | None = None
        self._one_at_a_time = threading.Lock()

    def run(self, *command: str, stdin: str | None = None) -> Done:
        """Runs `manage.py <command>` to its end, with `stdin` or nothing as its input."""
        with self._one_at_a_time:
            process = self._process or self._start()
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps({"command": command, "stdin": stdin}) + "\n")
            process.stdin.flush()
            if not (line := process.stdout.readline()):
                raise AssertionError(f"the process for commands ended with {process.wait(5)}")
            return Done(**json.loads(line))

    def stop(self) -> None:
        """Ends the process, which a closed input tells to."""
        process, self._process = self._process, None
        if process is not None:
            process.communicate(timeout=10)

    def _start(self) -> subprocess.Popen[str]:
        self._process = subprocess.Popen(  # ends when its input does, so with this process
            [sys.executable, "-m", "tests.commands"],
            cwd=ROOT, env=self.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        return self._process


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
            done: dict[str, Any] = {"code": _await(pid)}
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


def _await(pid: int) -> int:
    deadline = time.monotonic() + SECONDS
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
