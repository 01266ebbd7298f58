"""Reads one file: `python -m workers.files.child KIND MEDIA_TYPE PATH FOLDER CPU_SECONDS MEMORY_BYTES`.

Writes `result.json` into the folder, with the images and the thumbnail beside it. A process of its own with limits of
memory, time and what it may write, without the site's settings: files are made to harm what reads them.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Final

import msgspec

from workers.files.base import Read, Result, Unreadable

NICE: Final = 10  # answers go first
WRITTEN_BYTES: Final = 64 * 1024 * 1024  # of one file that it writes
RECURSION: Final = 2_000
PARENT_SECONDS: Final = 1.0  # between two looks whether the worker still lives


def set_limits(cpu_seconds: int, memory_bytes: int) -> None:
    """Limits this process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal reaches the whole group; the parent decides
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold people's words
    resource.setrlimit(resource.RLIMIT_FSIZE, (WRITTEN_BYTES, WRITTEN_BYTES))
    with contextlib.suppress(ValueError, OSError):  # macOS has no limit of the address space
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    with contextlib.suppress(OSError):
        os.nice(NICE)
    sys.setrecursionlimit(RECURSION)


def end_with_parent() -> None:
    """Ends this process soon after its worker has ended, however that happened."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(PARENT_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def read(kind: str, media_type: str, path: Path, folder: Path) -> Result:
    """What the file has, or why it cannot be read."""
    from workers.files.formats.registry import read_path  # loaded after the limits are set

    try:
        return _result(read_path(path, kind, media_type, folder))
    except Unreadable as error:
        return Result(False, error.code)
    except (MemoryError, RecursionError):
        return Result(False, "too_much_memory")


def _result(found: Read) -> Result:
    total = found.total or len(found.parts)
    code = found.code or (
        "" if found.parts or (found.images and found.width) else "scan" if found.images else "no_text"
    )
    return Result(True, code, found.parts, total, found.width, found.height, found.images, found.thumbnail)


if __name__ == "__main__":
    _, kind_, media_type_, path_, folder_, cpu_, memory_ = sys.argv
    end_with_parent()
    set_limits(int(cpu_), int(memory_))
    result = read(kind_, media_type_, Path(path_), Path(folder_))
    Path(folder_, "result.json").write_bytes(msgspec.json.encode(result))
