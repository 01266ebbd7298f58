"""Keeping children alive, and ending them."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Generator

import psutil
import pytest

from accounts.lib import watchdog
from config.stack.supervisor import Child, Supervisor, describe_exit
from tests.stack import ROOT

ANNOUNCE = "from accounts.lib import watchdog; watchdog.announce_ready()"
STUBBORN = f"import signal, time; signal.signal(15, signal.SIG_IGN); {ANNOUNCE}; time.sleep(60)"
PARENT = "import subprocess, sys; subprocess.run(['sleep', '60'])"


@pytest.fixture
def supervisor() -> Generator[Supervisor, None, None]:
    one = Supervisor(os.environ, ROOT)
    yield one
    one.stop(lambda: True)


def until(supervisor: Supervisor, condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "not so in time"
        supervisor.look()
        time.sleep(0.01)


def python(name: str, code: str, *, grace: float = 5) -> Child:
    return Child(name, [sys.executable, "-c", code], grace=grace)


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
    assert said == [f"brief ended (exit code 3); restarting it in {wait} s" for wait in ("0.05", "0.1", "0.2")]
    assert capfd.readouterr().out.count("hello") >= 2


def test_a_child_is_ready_when_it_announces_it(supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it logs, and with signs of life before; one that was started again announces it again."""
    monkeypatch.setattr("config.stack.supervisor.FIRST_WAIT", 0.05)
    ours, theirs = os.pipe()
    code = f"""
import os, time
from accounts.lib import watchdog
watchdog.beat()
print(" ready.", flush=True)
os.read({ours}, 1)
watchdog.announce_ready()
time.sleep(60)
"""
    child = Child("slow", [sys.executable, "-c", code], grace=5, pass_fds=(ours,))
    supervisor.add(child)
    supervisor.start()
    until(supervisor, lambda: child.begun)
    over = time.monotonic() + 0.5
    until(supervisor, lambda: time.monotonic() > over)
    assert not child.ready
    os.write(theirs, b"x")
    until(supervisor, lambda: child.ready)
    assert child.process is not None
    child.process.kill()
    until(supervisor, lambda: not child.ready)
    os.write(theirs, b"x")
    until(supervisor, lambda: child.ready)
    os.close(ours)
    os.close(theirs)


def test_a_child_has_variables_of_its_own(supervisor: Supervisor, capfd: pytest.CaptureFixture[str]) -> None:
    code = "import os, time; print(os.environ['PORT'], os.environ['ANTIPHON_PROCESS'], flush=True); time.sleep(9)"
    for number in (1, 2):
        supervisor.add(Child(f"one{number}", [sys.executable, "-c", code], grace=1, env={"PORT": str(9100 + number)}))
    supervisor.start()
    said: list[str] = []

    def both_said() -> bool:
        said.extend(capfd.readouterr().out.splitlines())
        return len(said) == 2

    until(supervisor, both_said)
    assert sorted(said) == ["9101 one1", "9102 one2"]


def test_a_child_that_does_not_end_is_killed_after_its_grace(supervisor: Supervisor) -> None:
    child = python("stubborn", STUBBORN, grace=0.5)
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
    child = python("stubborn", STUBBORN, grace=30)
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


# --- signs of life ---------------------------------------------------------------------------------------------------

ALIVE = """
import asyncio, signal, sys, time
from accounts.lib import watchdog

async def main():
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, lambda: time.sleep(600))  # blocks the loop
    watchdog.EVERY_SECONDS = 0.05
    watchdog.keep(loop)
    print("up", flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


@pytest.fixture
def watching(monkeypatch: pytest.MonkeyPatch) -> Generator[tuple[Supervisor, list[str]], None, None]:
    """A supervisor that takes a second of silence for a hang, and what it says."""
    monkeypatch.setattr("config.stack.supervisor.FIRST_WAIT", 0.05)
    said: list[str] = []
    one = Supervisor(os.environ, ROOT, stuck_seconds=1.0)
    monkeypatch.setattr(one, "say", lambda _name, line, **_: said.append(line))
    yield one, said
    one.stop(lambda: True)


@pytest.mark.parametrize("how", [signal.SIGSTOP, signal.SIGUSR1])
def test_a_child_that_hangs_is_killed_and_started_anew(
    watching: tuple[Supervisor, list[str]], capfd: pytest.CaptureFixture[str], how: signal.Signals
) -> None:
    supervisor, said = watching
    child = python("alive", ALIVE)
    supervisor.add(child)
    supervisor.start()
    until(supervisor, lambda: child.begun)
    assert child.process is not None
    first = child.process.pid
    began = time.monotonic()
    child.process.send_signal(how)
    until(supervisor, lambda: child.begun and child.process is not None and child.process.pid != first)
    assert time.monotonic() - began >= 1
    assert said == [
        "alive is stuck: no heartbeat for 1 s; killing it",
        "alive ended (SIGKILL); restarting it in 0.05 s",
    ]
    if how == signal.SIGUSR1:  # a stopped process says nothing
        assert "most recent call first" in capfd.readouterr().out


def test_who_starts_slowly_or_gives_no_signs_is_let_be(watching: tuple[Supervisor, list[str]]) -> None:
    supervisor, said = watching
    supervisor.add(python("slow", "import time; time.sleep(60)"))
    supervisor.start()
    over = time.monotonic() + 1.6
    until(supervisor, lambda: time.monotonic() > over)
    assert said == []


def test_a_pause_of_all_of_us_is_no_hang(watching: tuple[Supervisor, list[str]]) -> None:
    """Ctrl-Z, a frozen container, a suspended machine: the child had no time to give a sign either."""
    supervisor, said = watching
    supervisor.stuck_seconds = 1.5
    child = python("alive", ALIVE)
    supervisor.add(child)
    supervisor.start()
    until(supervisor, lambda: child.begun)
    assert child.process is not None
    child.process.send_signal(signal.SIGSTOP)
    supervisor.look()
    supervisor._looked -= 3600  # an hour without a look
    supervisor.look()
    child.process.send_signal(signal.SIGCONT)
    over = time.monotonic() + 1.0
    until(supervisor, lambda: time.monotonic() > over)
    assert said == []


def test_a_pipe_that_nobody_reads_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    monkeypatch.setenv(watchdog.VARIABLE, str(theirs))
    for _ in range(70_000):
        watchdog.beat()
    os.close(ours)
    watchdog.beat()
    os.close(theirs)
    watchdog.beat()
