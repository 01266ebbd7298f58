"""Keeps figures for some seconds, so that a page that refreshes itself in many tabs costs one query."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any, Final, TypeVar

T = TypeVar("T")


class FigureCache:
    """Values of this process, each with its own lifetime. One thread computes a value; the others wait for it."""

    def __init__(self) -> None:
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._values: dict[str, tuple[float, Any]] = {}

    def get(self, key: str, seconds: float, compute: Callable[[], T]) -> T:
        """The value of `key`, computed again when it is older than `seconds`."""
        with self._locks[key]:
            expires, value = self._values.get(key, (0.0, None))
            if time.monotonic() >= expires:
                value = compute()
                self._values[key] = (time.monotonic() + seconds, value)
            return value  # type: ignore[no-any-return]  # what `compute` of this key returned

    def clear(self) -> None:
        self._values.clear()


cache: Final = FigureCache()
