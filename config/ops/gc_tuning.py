"""Settings of Python's garbage collector for server processes.

Nearly all objects are freed by reference counting; the collector only finds cycles. By default it runs after each 700
new objects and sometimes scans all objects, modules and settings included. In a web process with 100 streams that took
10 % of the CPU time (py-spy), and its pauses grow with the number of sockets.
"""

from __future__ import annotations

import gc
from typing import Final

# New objects before the youngest generation is scanned, and how many scans of one generation lead to one of the next.
THRESHOLDS: Final = (20_000, 20, 20)


def begin() -> None:
    """Turns the collector on, exempts all present objects from collection, and raises the thresholds.

    Call it once Django is set up. Without it the collector would soon scan all that was loaded, which takes 0.1 s of
    CPU time at every start, and finds half a megabyte of garbage.
    """
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
    gc.enable()


def settle() -> None:
    """Exempts also what came since `begin`, but for its garbage. Call it once all modules are loaded."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
