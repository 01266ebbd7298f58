"""Rotates the logs of the private servers: a file that grows too large becomes `<name>.1`."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import BinaryIO, Final

MOST_BYTES: Final = 10 * 2**20  # of each, and as much again in `.1`
EVERY_SECONDS: Final = 60.0


def bound(log: Path, *, most: int = MOST_BYTES) -> None:
    """Copies and empties a log that its server has open for appending; what it said last is in one of the two files.

    A line written between the copy and the emptying is lost. Where the disk is full, the log stays as it is.
    """
    with contextlib.suppress(OSError):
        if log.stat().st_size > most:
            older = log.with_name(f"{log.name}.1")
            partial = log.with_name(f"{log.name}.part")
            try:
                shutil.copyfile(log, partial)
                partial.chmod(0o600)
                partial.replace(older)
            finally:
                partial.unlink(missing_ok=True)
            os.truncate(log, 0)


def open_private(log: Path) -> BinaryIO:
    """The log, open for appending, and for its owner only."""
    file = os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")
    os.fchmod(file.fileno(), 0o600)  # one that an older version made
    return file
