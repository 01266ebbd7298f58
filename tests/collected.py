"""Static files as pages of a live stack load them: bundled, hashed and compressed, once for each content of them."""

from __future__ import annotations

import fcntl
import functools
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.servers import servers

ROOT: Final = Path(__file__).parents[1]
PARENT: Final = ROOT / "var/tests-static"
DECIDE: Final = (
    "chat/static",
    "config/bundling",
    "chat/views/page_files.py",
    "config/settings/pages.py",
    "requirements.txt",
)


def environment() -> dict[str, str]:
    """What has processes serve the collected files."""
    return {"STATIC_VERSIONED": "1", "STATIC_ROOT": str(_folder())}


@functools.cache
def _folder() -> Path:
    """Made by `collectstatic` unless it is there; folders of other contents are removed."""
    folder = PARENT / _digest()
    PARENT.mkdir(parents=True, exist_ok=True)
    with (PARENT / "lock").open("w") as lock:  # one of the processes of pytest-xdist makes it
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "staticfiles.json").exists():
            for old in PARENT.glob("*/"):
                shutil.rmtree(old)
            env = {**os.environ, **servers.environment(), "STATIC_VERSIONED": "1", "STATIC_ROOT": str(folder)}
            command = [sys.executable, "manage.py", "collectstatic", "--noinput", "--clear", "--verbosity=0"]
            subprocess.run(command, cwd=ROOT, env=env, check=True)
    return folder


def _digest() -> str:
    seen = hashlib.sha256(sys.version.encode())
    for name in DECIDE:
        place = ROOT / name
        for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
            if path.is_file() and "__pycache__" not in path.parts:
                seen.update(f"{path.relative_to(ROOT)}\n".encode() + path.read_bytes())
    return seen.hexdigest()[:16]
