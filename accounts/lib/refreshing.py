"""Replaces what a cached function has kept before it expires, so that nobody waits for the query that does."""

from __future__ import annotations

from typing import Any, Final

REFRESH_SECONDS: Final = 4.0  # between two calls, for values that are cached for 5 s


def refresh(function: Any) -> None:
    """Calls a function without arguments whose value `cachetools.cached` keeps, and keeps the new value from now on.

    Others get the old one meanwhile. A value that was read before the cache was cleared is not kept. Raises what the
    function raises, and the old value stays.
    """
    key = function.cache_key()
    with function.cache_lock:
        before = function.cache.get(key)
    if before is None:
        function()
        return
    value = function.__wrapped__()
    with function.cache_lock:
        if function.cache.get(key) is before:
            function.cache[key] = value
