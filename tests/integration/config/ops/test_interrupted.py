"""Commands whose reader has seen enough, and commands that are ended with Ctrl-C: an exit code, and no traceback."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from tests.stack import ROOT

# Writes more than fits into a pipe, line by line, and needs no server.
LONG: Final = ("manage.py", "shell", "--no-imports", "-c", "for number in range(10**6): print(number)")
# As Ctrl-C does while the program is still being loaded.
AT_START: Final = """
import runpy, sys
class Interrupted:
    def find_spec(self, name, *_):
        if name == "django.core.management":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupted())
sys.argv = ["manage.py", "stats"]
runpy.run_path("manage.py", run_name="__main__")
"""


@contextmanager
def running(*command: str) -> Iterator[subprocess.Popen[bytes]]:
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, *command], cwd=ROOT, stdout=pipe, stderr=pipe) as process:
        yield process
        process.kill()


def ended(process: subprocess.Popen[bytes]) -> tuple[int, str]:
    """The exit code and what was written to standard error."""
    assert process.stderr is not None
    said = process.stderr.read().decode()
    return process.wait(timeout=60), said


def test_whoever_reads_has_seen_enough() -> None:
    with running(*LONG) as process:
        assert process.stdout is not None
        assert process.stdout.read(1) == b"0"
        process.stdout.close()
        assert ended(process) == (141, "")


def test_ended_while_it_writes() -> None:
    with running(*LONG) as process:
        assert process.stdout is not None
        assert process.stdout.read(1) == b"0"  # now it waits for somebody to read the rest
        process.send_signal(signal.SIGINT)
        assert ended(process) == (130, "")


def test_ended_while_it_starts() -> None:
    with running("-c", AT_START) as process:
        assert ended(process) == (130, "")
