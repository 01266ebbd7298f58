"""Keeps figures for some seconds, so that a page that refreshes itself in many tabs costs one query."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable
from typing import Any, Final, TypeVar

from cachetools import TLRUCache

T = TypeVar("T")

MAX_VALUES: Final = 256


class FigureCache:
    """Values of this process, each with its own lifetime. One thread computes a value; the others wait for it."""

    def __init__(self) -> None:
        self._computing: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._lock = threading.Lock()  # the cache itself is not thread-safe
        self._values: TLRUCache[str, tuple[float, Any]] = TLRUCache(MAX_VALUES, lambda _, kept, now: now + kept[0])

    def get(self, key: str, seconds: float, compute: Callable[[], T]) -> T:
        """The value of `key`, computed again when it is older than `seconds`."""
        with self._computing[key]:
            with self._lock:
                kept = self._values.get(key)
            if kept is None:
                kept = (seconds, compute())
                with self._lock:
                    self._values[key] = kept
            return kept[1]

    def clear(self) -> None:
        with self._lock:
            self._values.clear()


cache: Final = FigureCache()
