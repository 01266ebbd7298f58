"""The version of the program, as processes report it to each other (`chat.jobs.processes`)."""

from __future__ import annotations

from pathlib import Path
from typing import Final

VERSION: Final = "0.2.0"
BUILD_FILE: Final = "BUILD"  # in the program's folder: the commit or the day that an image was built from


def program_version(folder: Path) -> str:
    """The version, with the build where the folder has one: `0.2.0+1a2b3c4d`."""
    try:
        build = (folder / BUILD_FILE).read_text().strip()
    except OSError:
        return VERSION
    return f"{VERSION}+{build}" if build else VERSION
