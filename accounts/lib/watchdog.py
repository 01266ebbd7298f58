"""Watchdog of a process: writes a byte a second into a pipe, from the event loop that its work runs on.

Another byte, written once, says that the process is ready. `manage.py up` reads the pipes (`config.stack.supervisor`)
and restarts a process whose loop is stuck. An outage of PostgreSQL or Redis does not count as stuck. Without a pipe
nothing is written.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import os
import signal
import threading
import time
from typing import Final

VARIABLE: Final = "ANTIPHON_PULSE"  # the pipe's file descriptor
EVERY_SECONDS: Final = 1.0
ALIVE: Final = b"."
READY: Final = b"+"


def beat() -> None:
    """Writes the byte that says that the process is alive."""
    _write(ALIVE)


def announce_ready() -> None:
    """Writes the byte that says that the process is ready to serve."""
    _write(READY)


def _write(sign: bytes) -> None:
    """Writes one byte. Never blocks: if nobody reads the pipe and it is full, the byte is dropped."""
    with contextlib.suppress(OSError, ValueError):
        os.write(int(os.environ.get(VARIABLE, "")), sign)


def keep(loop: asyncio.AbstractEventLoop) -> None:
    """Writes bytes for as long as `loop` runs. Call it on the loop."""
    if VARIABLE in os.environ:
        print_stacks_on_signal()
        _beat_again(loop)


def _beat_again(loop: asyncio.AbstractEventLoop) -> None:
    beat()
    loop.call_later(EVERY_SECONDS, _beat_again, loop)


def keep_in_thread() -> None:
    """Writes bytes from a thread, for a process without an event loop. Shows only that the process runs."""
    if VARIABLE in os.environ:
        print_stacks_on_signal()
        threading.Thread(target=_keep_beating, name="pulse", daemon=True).start()


def _keep_beating() -> None:
    while True:
        beat()
        time.sleep(EVERY_SECONDS)


def print_stacks_on_signal() -> None:
    """Lets SIGUSR2 print the stack of every thread, without values of variables; works in a deadlocked process too."""
    faulthandler.register(signal.SIGUSR2, all_threads=True)
