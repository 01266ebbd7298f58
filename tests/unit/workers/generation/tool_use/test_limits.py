"""What an answer with tools may use."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from chat.runs.tool_limits import ToolLimits, tool_limits
from workers.generation.tool_use.limits import Room, Spent

PLAN = (12, 8, 900, None, None)


def read(own: Any = None, chosen: Any = None, plan: tuple[Any, ...] = PLAN) -> ToolLimits:
    stored = None if chosen is None else json.dumps(chosen)
    return tool_limits([stored, False, json.dumps(own or {}), *plan, True])


def test_a_conversation_only_lowers_limits() -> None:
    assert (read({"steps": 3}).steps, read({"steps": 99}).steps) == (3, 12)
    assert read({"seconds": 30, "tokens": 1000, "cost": "0.5"}) == ToolLimits(
        12, 8, 30, 1000, Decimal("0.5"), available=True
    )
    assert read({"tokens": 5000}, plan=(12, 8, 900, 1000, Decimal(1))).tokens == 1000


@pytest.mark.parametrize("odd", ["many", True, "NaN", -3, [1]])
def test_odd_limits_count_as_none(odd: Any) -> None:
    assert read({"steps": odd}).steps == 12


def test_no_steps_and_no_plan_mean_no_tools() -> None:
    assert not read(plan=(0, 8, 900, None, None)).permits_tools
    assert not tool_limits([None, False, "{}", None, None, None, None, None, True]).permits_tools
    assert read().permits_tools


def test_tokens_and_money_bound_the_next_request() -> None:
    room = Room(500, None, None)
    assert room.open(200) is None
    assert room.check(300) is None
    assert room.check(301) is not None
    assert Room(100, None, None).open(100) is not None
    million = Decimal(1_000_000)
    priced = Room(None, Decimal(10), (million, 2 * million))  # 1 and 2 for a token
    assert priced.open(4) is None
    assert priced.tokens == 3
    free = Room(None, Decimal(1), (Decimal(0), Decimal(0)))
    assert free.open(10**6) is None
    assert Room(None, Decimal(0), None).open(1) is not None


def test_calls_end_with_the_steps_and_the_time() -> None:
    spent = Spent(ToolLimits(steps=2, seconds=10))
    assert (spent.may_call(1), spent.may_call(2)) == (True, False)
    spent.seconds = 11.0
    assert not spent.may_call(0)
