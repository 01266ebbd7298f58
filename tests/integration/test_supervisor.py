"""Keeping children alive, and ending them."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path

import psutil
import pytest

from config.stack.supervisor import Child, Supervisor, describe_exit

STUBBORN = "import signal, time; signal.signal(15, signal.SIG_IGN); print('set', flush=True); time.sleep(60)"
PARENT = "import subprocess, sys; subprocess.run(['sleep', '60'])"


@pytest.fixture
def supervisor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Supervisor, None, None]:
    one = Supervisor(os.environ, tmp_path)
    yield one
    one.stop(lambda: True)


def until(supervisor: Supervisor, condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "not so in time"
        supervisor.look()
        time.sleep(0.01)


def python(name: str, code: str, *, grace: float = 5, ready_words: bytes = b"") -> Child:
    return Child(name, [sys.executable, "-c", code], grace=grace, ready_words=ready_words)


def test_a_child_that_ends_comes_back_after_growing_waits(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("config.stack.supervisor.FIRST_WAIT", 0.05)
    said: list[str] = []
    monkeypatch.setattr(supervisor, "say", lambda _name, line: said.append(line))
    child = python("brief", "print('hello'); raise SystemExit(3)")
    supervisor.add(child)
    supervisor.start()
    until(supervisor, lambda: len(said) == 3)
    assert said == [f"brief ended (exit code 3); starting it again in {wait} s" for wait in ("0.05", "0.1", "0.2")]
    assert capfd.readouterr().out.count("hello") >= 2


def test_a_child_is_ready_when_it_says_so(supervisor: Supervisor) -> None:
    child = python("slow", "import time; print('all set.', flush=True); time.sleep(60)", ready_words=b"set.")
    assert not child.ready
    supervisor.add(child)
    supervisor.start()
    until(supervisor, lambda: child.ready)


def test_a_child_that_does_not_end_is_killed_after_its_grace(supervisor: Supervisor) -> None:
    child = python("stubborn", STUBBORN, grace=0.5, ready_words=b"set")
    supervisor.add(child)
    supervisor.start()
    until(supervisor, lambda: child.ready)
    assert child.process is not None
    process = psutil.Process(child.process.pid)
    began = time.monotonic()
    supervisor.stop(lambda: False)
    assert 0.5 <= time.monotonic() - began < 3
    assert not process.is_running()


def test_nobody_waits_when_it_is_urgent(supervisor: Supervisor) -> None:
    child = python("stubborn", STUBBORN, grace=30, ready_words=b"set")
    supervisor.add(child)
    supervisor.start()
    until(supervisor, lambda: child.ready)
    began = time.monotonic()
    supervisor.stop(lambda: True)
    assert time.monotonic() - began < 3


def test_what_a_child_started_ends_with_it(supervisor: Supervisor) -> None:
    child = python("parent", PARENT)
    supervisor.add(child)
    supervisor.start()
    assert child.process is not None
    parent = psutil.Process(child.process.pid)
    until(supervisor, lambda: bool(parent.children()))
    grandchildren = parent.children()
    supervisor.stop(lambda: False)
    assert psutil.wait_procs(grandchildren, timeout=3)[1] == []


@pytest.mark.parametrize(("code", "words"), [(1, "exit code 1"), (-9, "SIGKILL"), (-15, "SIGTERM"), (-99, "signal 99")])
def test_an_exit_is_described(code: int, words: str) -> None:
    assert describe_exit(code) == words
