"""When a stack counts as started, and how long its processes get to end."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from config.stack import readiness
from config.stack.errors import StackError
from config.stack.local import CHILD_GRACE, grace
from config.stack.readiness import await_quiet, await_ready
from config.stack.supervisor import Child, Supervisor


@pytest.fixture
def supervisor(tmp_path: Path) -> Generator[Supervisor, None, None]:
    one = Supervisor(os.environ, tmp_path)
    yield one
    one.stop(lambda: True)


@pytest.fixture
def listener() -> Generator[socket.socket, None, None]:
    with socket.create_server(("127.0.0.1", 0)) as one:
        yield one


def sleeper(name: str, code: str = "import time; time.sleep(60)") -> Child:
    return Child(name, [sys.executable, "-c", code], grace=0)


def test_who_has_not_announced_itself_is_named(
    supervisor: Supervisor, listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "READY_SECONDS", 0.3)
    for name in ("worker1", "worker2"):
        supervisor.add(sleeper(name, "print(' ready.', flush=True); import time; time.sleep(60)"))
    supervisor.start()
    with pytest.raises(StackError, match=r"worker1, worker2 did not get ready\."):
        await_ready(supervisor, listener, lambda: False)


def test_pages_are_asked_once_all_have_announced_themselves(
    supervisor: Supervisor, listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    replies = iter([(False, "database"), (True, "")])
    monkeypatch.setattr(readiness, "ask_ready", lambda *_: next(replies))
    child = sleeper("web1")
    supervisor.add(child)
    supervisor.start()
    child.ready = True
    await_ready(supervisor, listener, lambda: False)
    assert next(replies, None) is None

    monkeypatch.setattr(readiness, "READY_SECONDS", 0.3)
    monkeypatch.setattr(readiness, "ask_ready", lambda *_: (False, "database: away"))
    with pytest.raises(StackError, match="/readyz says database: away"):
        await_ready(supervisor, listener, lambda: False)


def test_nobody_waits_for_a_start_that_is_not_wanted_any_more(supervisor: Supervisor, listener: socket.socket) -> None:
    supervisor.add(sleeper("worker1"))
    await_ready(supervisor, listener, lambda: True)


def test_first_lines_are_awaited_but_not_for_ever(supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "QUIET_SECONDS", 0.2)
    monkeypatch.setattr(readiness, "LONGEST_QUIET_SECONDS", 8)
    began = supervisor.last_line = time.monotonic()
    await_quiet(supervisor, lambda: False)
    assert 0.2 <= time.monotonic() - began < 8
    monkeypatch.setattr(readiness, "LONGEST_QUIET_SECONDS", 0.6)
    began = time.monotonic()
    supervisor.last_line = began + 60
    await_quiet(supervisor, lambda: False)
    assert 0.6 <= time.monotonic() - began < 30


def test_a_drain_that_is_set_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORKER_DRAIN_SECONDS", raising=False)
    assert grace("WORKER_DRAIN_SECONDS", {"WORKER_DRAIN_SECONDS": "3"}) == CHILD_GRACE, "Ctrl-C is over within 15 s"
    monkeypatch.setenv("WORKER_DRAIN_SECONDS", "120")
    assert grace("WORKER_DRAIN_SECONDS", {"WORKER_DRAIN_SECONDS": "120"}) == 135
