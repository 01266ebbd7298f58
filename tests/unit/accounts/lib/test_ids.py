"""Identifiers are in the order of their time."""

from __future__ import annotations

import time
import uuid

import pytest

from accounts.lib.ids import lowest_uuid7, uuid7

MILLISECOND = 1_790_000_000_123


def test_the_order_within_a_millisecond(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter(range(MILLISECOND * 1_000_000, (MILLISECOND + 1) * 1_000_000, 1_000))
    monkeypatch.setattr(time, "time_ns", lambda: next(moments))
    made = [uuid7() for _ in range(1_000)]
    assert made == sorted(made)
    assert len(set(made)) == 1_000
    assert lowest_uuid7(MILLISECOND) <= made[0]
    assert made[-1] < lowest_uuid7(MILLISECOND + 1)


def test_the_form() -> None:
    before = time.time_ns() // 1_000_000
    made = uuid7()
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert before <= made.int >> 80 <= time.time_ns() // 1_000_000
