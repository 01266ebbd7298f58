"""A process's sign of life to whoever started it: a byte a second into a pipe, from the loop that its work runs on.

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
    """Gives one sign. Never waits: a pipe that nobody reads is full some day, and that is all right."""
    _write(ALIVE)


def announce_ready() -> None:
    """Tells whoever started this process that it serves now. Never waits."""
    _write(READY)


def _write(sign: bytes) -> None:
    with contextlib.suppress(OSError, ValueError):
        os.write(int(os.environ.get(VARIABLE, "")), sign)


def keep(loop: asyncio.AbstractEventLoop) -> None:
    """Gives signs for as long as `loop` turns. To be called on it."""
    if VARIABLE in os.environ:
        tell_where_it_hangs()
        _beat_again(loop)


def _beat_again(loop: asyncio.AbstractEventLoop) -> None:
    beat()
    loop.call_later(EVERY_SECONDS, _beat_again, loop)


def keep_in_thread() -> None:
    """For a process without a loop: it only shows that the process runs at all."""
    if VARIABLE in os.environ:
        tell_where_it_hangs()
        threading.Thread(target=_keep_beating, name="pulse", daemon=True).start()


def _keep_beating() -> None:
    while True:
        beat()
        time.sleep(EVERY_SECONDS)


def tell_where_it_hangs() -> None:
    """SIGUSR2 prints what every thread is at, without a value: also of a process whose threads wait for each other."""
    faulthandler.register(signal.SIGUSR2, all_threads=True)
