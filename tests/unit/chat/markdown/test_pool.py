"""The processes that render: their deadline, their limits of memory and CPU time, and their replacement."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import psutil
import pytest

from chat.markdown import pool as pool_module
from chat.markdown.plain import plain_with_note
from chat.markdown.pool import RenderingUnavailableError, RenderPool, RenderProcess
from chat.markdown.rendering import render

SLOW = "a\n\n" * 9_000 + "*a* " * 9_000  # takes much longer than the deadline of these tests


@pytest.fixture
def process() -> Iterator[RenderProcess]:
    process = RenderProcess()
    yield process
    process.close()


@pytest.fixture
def pool() -> Iterator[RenderPool]:
    pool = RenderPool(2, seconds=0.05)
    yield pool
    pool.close()


def is_running(pid: int) -> bool:
    return psutil.pid_exists(pid) and bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)


def test_a_process_renders_one_text_after_the_other(process: RenderProcess) -> None:
    texts = ["**a**", "", "é ☃ \U0001f600", "```python\nx = 1\n```", "w " * 90_000, "x" * 300_000]
    pids = set()
    for text in texts:
        assert process.render(text) == render(text)
        pids.add(process.pid)
    assert len(pids) == 1


def test_a_text_that_misses_the_deadline_is_shown_as_written_and_its_process_is_killed() -> None:
    process = RenderProcess(0.05)
    process.start()
    slow = process.pid
    started = time.monotonic()
    html = process.render(SLOW)
    assert time.monotonic() - started < 8
    assert html == plain_with_note(SLOW)
    assert slow is not None
    assert not is_running(slow)
    assert process.render("**a**") == '<p dir="auto"><strong>a</strong></p>\n', "the next text has a new process"
    assert process.pid != slow
    process.close()


def test_a_process_that_was_killed_from_outside_is_replaced(process: RenderProcess) -> None:
    process.start()
    assert process.pid
    os.kill(process.pid, signal.SIGKILL)
    assert process.render("a") in (
        plain_with_note("a"),
        '<p dir="auto">a</p>\n',
    )  # its death may be seen before or after
    assert process.render("**a**") == '<p dir="auto"><strong>a</strong></p>\n'


def test_the_kernel_limits_memory_and_cpu_time(process: RenderProcess) -> None:
    process.render("a")
    assert process.pid
    limits = psutil.Process(process.pid)
    assert limits.rlimit(psutil.RLIMIT_AS) == (pool_module.MEMORY_BYTES,) * 2
    soft, _ = limits.rlimit(psutil.RLIMIT_CPU)
    times = limits.cpu_times()
    assert 0 < soft - (times.user + times.system) <= pool_module.CPU_SECONDS + 1
    assert limits.rlimit(psutil.RLIMIT_CORE) == (0, 0)


def test_a_process_without_memory_loses_no_answer() -> None:
    process = RenderProcess(memory_bytes=64 * 1024 * 1024)
    text = "*a* " * 9_000 + "[a](b) " * 4_000
    try:
        html = process.render(text)
    except RenderingUnavailableError:
        return  # not even enough to start: a worker tries again later
    assert html in (plain_with_note(text), render(text))
    process.close()


def test_a_process_ends_with_its_parent() -> None:
    code = (
        "from chat.markdown.pool import RenderProcess; import os; p = RenderProcess(); p.render('a'); "
        "print(p.pid, flush=True); os.kill(os.getpid(), 9)"
    )
    parent = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    pid = int(parent.stdout)
    for _ in range(100):
        if not is_running(pid):
            break
        time.sleep(0.05)
    assert not is_running(pid)


def test_a_process_knows_no_secret(process: RenderProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    process.start()
    assert process.pid
    assert "OPENAI_API_KEY" not in psutil.Process(process.pid).environ()


def test_a_process_that_cannot_start_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(RenderingUnavailableError):
        RenderProcess().render("a")


async def test_the_loop_goes_on_while_a_text_is_rendered_until_it_is_killed(pool: RenderPool) -> None:
    await pool.render_soon("warm")
    gaps: list[float] = []

    async def tick() -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.005)
            gaps.append(time.monotonic() - before)

    ticking = asyncio.create_task(tick())
    slow, quick = await asyncio.gather(pool.render_soon(SLOW), pool.render_soon("**a**"))
    ticking.cancel()
    assert slow == plain_with_note(SLOW)
    assert quick == '<p dir="auto"><strong>a</strong></p>\n'
    assert len(gaps) >= 5, "the loop stood still"


async def test_many_slow_texts_delay_a_short_one_for_a_bounded_time(
    pool: RenderPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "WAIT_SECONDS", 0.3)
    busy = threading.Event()
    monkeypatch.setattr(pool, "render", lambda text: busy.wait(2) and "")
    started = time.monotonic()
    assert await asyncio.gather(*(pool.render_soon("a") for _ in range(8))) == [""] * 8
    busy.set()
    assert time.monotonic() - started < 1.5


def test_a_text_beyond_the_limits_is_one_line_in_the_log(
    process: RenderProcess, capfd: pytest.CaptureFixture[str]
) -> None:
    before = datetime.now(UTC)
    process.render("[" * 300_000)
    [line] = capfd.readouterr().err.splitlines()
    event = json.loads(line)
    assert before <= datetime.fromisoformat(event.pop("timestamp")) <= datetime.now(UTC)
    assert event.pop("limit")
    assert event == {"event": "formatting_skipped", "level": "info", "length": 300_000}


def test_the_process_loads_little_but_the_parser() -> None:
    """structlog, say, would make it start three times as slowly."""
    code = (
        "import sys, chat.markdown.child, chat.markdown.rendering;"
        "print(sorted({'asyncio', 'django', 'structlog', 'twisted'} & sys.modules.keys()))"
    )
    found = subprocess.run([sys.executable, "-s", "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
