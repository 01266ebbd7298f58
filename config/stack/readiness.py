"""Waits until a started stack serves: every process has announced that it is ready, and `/readyz` is 200.

What processes log is not asked: the level and the format of logs are settings.
"""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Callable
from typing import Final

from config.stack.errors import StackError
from config.stack.supervisor import Supervisor

READY_SECONDS: Final = 90.0
POLL_SECONDS: Final = 0.1
QUIET_SECONDS: Final = 0.4  # without a line of a process: what they say at their start has been said ...
LONGEST_QUIET_SECONDS: Final = 2.0  # ... or is not waited for any longer


def await_ready(
    supervisor: Supervisor,
    listener: socket.socket,
    is_over: Callable[[], bool],
    look_after_servers: Callable[[Callable[[], bool]], None] = lambda _is_over: None,
) -> None:
    """Returns when all is ready, or as soon as `is_over`. Raises `StackError` after `READY_SECONDS`, or when a process
    ends a second time.
    """
    deadline = time.monotonic() + READY_SECONDS
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104 -- compared, not bound
        host = "127.0.0.1" if host == "0.0.0.0" else "::1"  # noqa: S104 -- likewise
    reply = "nothing"
    while not is_over():
        look_after_servers(is_over)
        supervisor.look()
        waiting = [child.name for child in supervisor.children if not child.ready]
        if not waiting:
            ready, reply = ask_ready(host, port)
            if ready:
                return
        if broken := [child.name for child in supervisor.children if child.failures > 1]:
            raise StackError(f"{broken[0]} does not start: its own lines above say why.")
        if time.monotonic() > deadline:
            missing = f"{', '.join(waiting)} did not get ready" if waiting else f"/readyz says {reply}"
            raise StackError(f"Not ready after {READY_SECONDS:.0f} s: {missing}.")
        time.sleep(POLL_SECONDS)


def await_quiet(supervisor: Supervisor, is_over: Callable[[], bool]) -> None:
    """Waits until no process has written a line for a moment, so that what follows stands below their first lines."""
    deadline = time.monotonic() + LONGEST_QUIET_SECONDS
    while not is_over() and time.monotonic() < min(deadline, supervisor.last_line + QUIET_SECONDS):
        supervisor.look()
        time.sleep(POLL_SECONDS / 2)


def ask_ready(host: str, port: int) -> tuple[bool, str]:
    """Whether `/readyz` is 200, and what it said."""
    connection = http.client.HTTPConnection(host, port, timeout=3)
    try:
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        return response.status == 200, response.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return False, type(error).__name__
    finally:
        connection.close()
