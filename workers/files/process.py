"""Reads a file in a child process that may fail, hang or be killed, and says how that ended. Blocks its thread."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec
import structlog

from chat.markdown.pool import KEPT_VARIABLES
from workers.files.base import Result

SECONDS: Final = 90.0  # on the clock
CPU_SECONDS: Final = 60
MEMORY_BYTES: Final = 1024 * 1024 * 1024  # address space
MAX_RESULT: Final = 64 * 1024 * 1024  # bytes
BASE_DIR: Final = Path(__file__).resolve().parents[2]

LOOK_SECONDS: Final = 0.5  # between two looks whether the worker shuts down
RENEW_SECONDS: Final = 3.0

logger = structlog.get_logger(__name__)


class Interrupted(Exception):
    """The worker shuts down."""


def read_in_child(
    kind: str,
    media_type: str,
    path: Path,
    folder: Path,
    *,
    seconds: float = SECONDS,
    cpu_seconds: int = CPU_SECONDS,
    memory_bytes: int = MEMORY_BYTES,
    renew: Callable[[], None] = lambda: None,
    stopping: Callable[[], bool] = lambda: False,
) -> Result:
    """What the file has; images are written into `folder`. A child that is ended by a limit gives a `Result` with its
    code. `renew` is called every few seconds. Raises `Interrupted` if `stopping`, and what `renew` raises.
    """
    arguments = [kind, media_type, str(path), str(folder), str(cpu_seconds), str(memory_bytes)]
    try:
        status, said = run_child("workers.files.child", arguments, folder, seconds, renew, stopping)
    except subprocess.TimeoutExpired:
        logger.warning("file_reading_killed", kind=kind, media_type=media_type, seconds=seconds)
        return Result(False, "too_slow")
    try:
        written = folder / "result.json"
        if status == 0 and written.stat().st_size <= MAX_RESULT:
            return msgspec.json.decode(written.read_bytes(), type=Result)
    except (OSError, msgspec.DecodeError):
        pass
    code = code_of(status, said)
    logger.warning("file_not_read", kind=kind, media_type=media_type, status=status, code=code)
    return Result(False, code)


def run_child(
    module: str,
    arguments: Sequence[str],
    folder: Path,
    seconds: float,
    renew: Callable[[], None],
    stopping: Callable[[], bool],
) -> tuple[int, bytes]:
    """Runs a module in a process without the site's settings; its exit status, and what it wrote as errors. `folder` is
    for its temporary files. Raises `TimeoutExpired` after so many seconds, `Interrupted` if `stopping`, and what
    `renew` raises; the process is then killed.
    """
    variables = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    process = subprocess.Popen(
        [sys.executable, "-s", "-m", module, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        cwd=BASE_DIR,
        env=variables | {"MALLOC_ARENA_MAX": "2", "TMPDIR": str(folder), "OMP_NUM_THREADS": "1"},
    )
    try:
        said = _wait(process, seconds, renew, stopping)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    return process.returncode, said


def _wait(
    process: subprocess.Popen[bytes], seconds: float, renew: Callable[[], None], stopping: Callable[[], bool]
) -> bytes:
    """Waits for the child's end; what it wrote as errors. Raises `TimeoutExpired` after so many seconds."""
    deadline = time.monotonic() + seconds
    renewed = time.monotonic()
    while True:
        try:
            return process.communicate(timeout=min(LOOK_SECONDS, max(0.01, deadline - time.monotonic())))[1]
        except subprocess.TimeoutExpired:
            if stopping():
                raise Interrupted from None
            if time.monotonic() >= deadline:
                raise
            if time.monotonic() - renewed > RENEW_SECONDS:
                renew()
                renewed = time.monotonic()


def code_of(status: int, said: bytes) -> str:
    """Why a child ended without a result, by its status and what it wrote about it."""
    if status in (-signal.SIGXCPU, -signal.SIGKILL):
        return "too_slow"
    memory = (b"MemoryError", b"bad_alloc", b"Cannot allocate memory", b"out of memory")
    if any(word in said for word in memory) or status in (-signal.SIGABRT, -signal.SIGTRAP, -signal.SIGILL):
        return "too_much_memory"
    return "broken"
