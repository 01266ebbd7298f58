"""The process that renders: `python -m chat.markdown.child CPU_SECONDS MEMORY_BYTES NICENESS`, with a socket as stdin.

It loads no settings and holds no secret. It limits its own memory, and the CPU time of each text; its parent kills it
at a deadline on the clock (`chat.markdown.pool`). It ends when its parent does. A message in either direction is its
length (`LENGTH`) and its UTF-8; the first, empty one says that the process is ready.
"""

from __future__ import annotations

import contextlib
import math
import os
import resource
import signal
import socket
import struct
import sys
from typing import Final

LENGTH: Final = struct.Struct(">I")


def main() -> None:
    cpu_seconds, memory_bytes, niceness = float(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal reaches the whole group; the parent decides
    _limit_memory(memory_bytes)
    with contextlib.suppress(OSError):
        os.nice(niceness)
    from chat.markdown.rendering import render  # under the limit of memory, too

    with socket.socket(fileno=0) as parent:
        render("**ready**\n\n```python\nx = 1\n```")  # builds the parser and a lexer
        _send(parent, "")
        while (text := _receive(parent)) is not None:
            _limit_cpu(cpu_seconds)
            _send(parent, render(text))


def _limit_memory(memory_bytes: int) -> None:
    with contextlib.suppress(OSError, ValueError):  # a lower limit is in force already, or the system has none
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold people's words


def _limit_cpu(seconds: float) -> None:
    """The kernel ends the process when it has used `seconds` more of CPU time, rounded up."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hardest = resource.getrlimit(resource.RLIMIT_CPU)
    soft = math.ceil(used.ru_utime + used.ru_stime + seconds)
    resource.setrlimit(resource.RLIMIT_CPU, (soft if hardest < 0 else min(soft, hardest), hardest))


def _send(parent: socket.socket, html: str) -> None:
    data = html.encode("utf-8", "replace")
    parent.sendall(LENGTH.pack(len(data)) + data)


def _receive(parent: socket.socket) -> str | None:
    """The next text. None when the parent is gone."""
    head = _read(parent, LENGTH.size)
    if head is None:
        return None
    data = _read(parent, LENGTH.unpack(head)[0])
    return None if data is None else data.decode("utf-8", "replace")


def _read(parent: socket.socket, size: int) -> bytes | None:
    data = bytearray()
    while len(data) < size:
        try:
            piece = parent.recv(min(size - len(data), 1 << 20))
        except OSError:
            return None
        if not piece:
            return None
        data += piece
    return bytes(data)


if __name__ == "__main__":
    main()
