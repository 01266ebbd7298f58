"""Gives one process another clock than the machine's, by libfaketime (the system's library, else the wheel's own).

Only the time of day moves: a wrong clock does not make seconds longer, so the monotonic clock stays the machine's.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

_SYSTEM = ("/usr/lib/*/faketime/libfaketimeMT.so.1", "/usr/lib*/faketime/libfaketimeMT.so.1")
_LOOK = "import json, threading, time; print(json.dumps([time.time(), time.monotonic()]))"


def off_by(days: float) -> dict[str, str]:
    """The environment of a process whose clock is so many days ahead. Raises `LookupError` where that cannot be had."""
    return {
        "LD_PRELOAD": _library(),
        "FAKETIME": f"{round(days * 86400):+d}",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_DISABLE_SHM": "1",
        "NO_FAKE_STAT": "1",
    }


@functools.cache
def _library() -> str:
    """The first library that moves a Python's clock here, and nothing else of it."""
    found = [path for pattern in _SYSTEM for path in Path("/").glob(pattern.lstrip("/"))]  # made for threads
    wheel = find_spec("libfaketime")
    found += [*Path(wheel.origin).parent.rglob("libfaketime*.so*")] if wheel and wheel.origin else []
    for library in found:
        env = {**os.environ, "LD_PRELOAD": str(library), "FAKETIME": "+7200", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        (there, ticks), (here, before) = _clocks({**env, "FAKETIME_DISABLE_SHM": "1"}), _clocks(dict(os.environ))
        if abs(there - here - 7200) < 60 and abs(ticks - before) < 60:
            return str(library)
    raise LookupError("no libfaketime that works here: install the package `faketime` of your system")


def _clocks(env: dict[str, str]) -> tuple[float, float]:
    done = subprocess.run([sys.executable, "-c", _LOOK], env=env, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return 0.0, 0.0
    time_of_day, monotonic = json.loads(done.stdout)
    return time_of_day, monotonic
