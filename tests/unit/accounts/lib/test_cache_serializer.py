"""The cache holds data, and runs nothing when it is read."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import msgspec
import pytest
from django.core.cache import caches
from django.utils.functional import lazystr

from accounts.lib.cache_serializer import MessagePackSerializer

serializer = MessagePackSerializer()


@pytest.mark.parametrize("value", [None, True, 7, -7, 1.5, "7", "", b"\x80\x04", [1.0, "a"], {"a": [None]}])
def test_data_comes_back_as_it_was(value: Any) -> None:
    stored = serializer.dumps(value)
    back = serializer.loads(stored if isinstance(stored, bytes) else str(stored).encode())
    assert back == value
    assert type(back) is type(value)


def test_a_lazy_text_becomes_a_text_and_objects_are_refused() -> None:
    assert serializer.loads(bytes(serializer.dumps(lazystr("Users")))) == "Users"
    with pytest.raises(TypeError):
        serializer.dumps(object())


class Payload:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def test_a_pickle_in_redis_runs_nothing(tmp_path: Path) -> None:
    with pytest.raises(msgspec.DecodeError):
        serializer.loads(pickle.dumps(Payload(tmp_path / "ran")))
    assert not (tmp_path / "ran").exists()


def test_the_cache_uses_it() -> None:
    cache: Any = caches["default"]
    assert isinstance(cache._cache._serializer, MessagePackSerializer)
