"""Watchdog of a process: writes a byte a second into a pipe, from the event loop that its work runs on.

Another byte says once that the process is ready, whatever it logs.

`manage.py up` watches the pipes (`config.stack.supervisor`) and starts a process anew whose loop hangs. Nothing else is
asked, so that PostgreSQL or Redis being away is never taken for a hang. Without a pipe nothing happens.
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
    """Writes one byte. Never blocks: if nobody reads the pipe and it is full, the byte is dropped."""
    _write(ALIVE)


def announce_ready() -> None:
    """Tells whoever started this process that it serves now. Never waits."""
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
