"""Python's garbage collector, told what a server is like.

Nearly everything is freed by reference counting; the collector only looks for cycles. By default it begins after each
700 new objects and now and then goes through all there are, modules and settings included: 10 % of a web process with
100 streams (py-spy), and a pause that grows with the sockets it holds.
"""

from __future__ import annotations

import gc
from typing import Final

# Objects made and not freed before the youngest are looked at, and how many such looks make one at their elders.
THRESHOLDS: Final = (20_000, 20, 20)


def settle() -> None:
    """To be called once the process has loaded what it needs: none of that is garbage, or ever will be."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
