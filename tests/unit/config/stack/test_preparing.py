"""`manage.py up` says how far `manage.py prepare` is."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from config.stack.errors import StackError
from config.stack.preparing import PROGRESS, run_prepare

WAITS = """
import sys
print("{progress}12 of 180 migrations applied", file=sys.stderr, flush=True)
sys.stdin = open(sys.argv[1])
sys.stdin.read()  # until the test has read the line
print('{{"email": "a@example.org", "password": ""}}')
"""


def program(text: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", text.format(progress=PROGRESS), *arguments]


def test_the_last_step_is_said_until_it_ends(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        if "12 of 180" in line and said.count(line) == 1:
            fifo.write_text("go")

    found = run_prepare(program(WAITS, str(fifo)), tmp_path, os.environ, say, every=0.05)
    assert found == {"email": "a@example.org", "password": ""}
    assert "Still preparing: 12 of 180 migrations applied" in said


def test_a_failure_is_told_in_its_own_words(tmp_path: Path) -> None:
    fails = "import sys; print('no room', file=sys.stderr); print('{progress}1 of 2', file=sys.stderr); sys.exit(1)"
    with pytest.raises(StackError, match="could not be prepared: no room"):
        run_prepare(program(fails), tmp_path, os.environ, lambda _: None)


def test_a_silent_failure_is_said_to_be_one(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="it said nothing"):
        run_prepare(program("import sys; sys.exit(1)"), tmp_path, os.environ, lambda _: None)
