"""What is cached is replaced before it expires."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from cachetools import TTLCache, cached

from accounts.lib.refreshing import refresh


def nothing() -> None:
    pass


class Source:
    """A cached function of `value`, with a clock that stands still unless `now` is set."""

    def __init__(self) -> None:
        self.value: Any = ["first"]
        self.now = 0.0
        self.calls = 0
        self.during: Callable[[], None] = nothing
        self.read: Any = cached(TTLCache(1, 5.0, timer=lambda: self.now), condition=threading.Condition())(self._read)

    def _read(self) -> Any:
        self.calls += 1
        found = self.value
        self.during()
        return found


@pytest.fixture
def source() -> Source:
    return Source()


def test_readers_get_the_new_value_without_a_call(source: Source) -> None:
    assert source.read() == ["first"]
    source.value = ["second"]
    refresh(source.read)
    assert (source.read(), source.calls) == (["second"], 2)


def test_it_lasts_as_long_as_any(source: Source) -> None:
    source.read()
    source.now = 4.0
    refresh(source.read)
    source.now = 8.9
    assert (source.read(), source.calls) == (["first"], 2)
    source.now = 9.1
    assert (source.read(), source.calls) == (["first"], 3)


def test_what_was_read_before_the_cache_was_cleared_is_not_kept(source: Source) -> None:
    source.read()
    source.during = source.read.cache_clear  # a change that is committed while this reads
    refresh(source.read)
    source.during = nothing
    source.value = ["changed"]
    assert source.read() == ["changed"]


def test_an_error_leaves_the_old_value(source: Source) -> None:
    source.read()

    def fail() -> None:
        raise ConnectionError

    source.during = fail
    with pytest.raises(ConnectionError):
        refresh(source.read)
    assert (source.read(), source.calls) == (["first"], 2)


def test_nothing_cached_is_read(source: Source) -> None:
    refresh(source.read)
    assert (source.read(), source.calls) == (["first"], 1)
