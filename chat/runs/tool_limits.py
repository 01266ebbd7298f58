"""What a run may do with tools: the limits of its plan and conversation, and its tools. Read by the claim.

A conversation may only lower the limits of the plan of whoever asked.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Final

TOOL_COLUMNS: Final = """c.tools, c.web_search, c.tool_limits, plan.tool_steps, plan.tool_calls_at_once,
    plan.tool_seconds, plan.tool_tokens, plan.tool_cost,
    EXISTS (SELECT FROM chat_knowntool WHERE enabled AND gone_at IS NULL)"""
"""SQL: what `tool_limits` reads; `c` is the conversation, `plan` is `PLAN`."""
TOOL_COLUMN_COUNT: Final = 9
PLAN: Final = """SELECT p.* FROM accounts_user u JOIN accounts_plan p
    ON p.id = COALESCE(u.plan_id, (SELECT d.id FROM accounts_plan d WHERE d.is_default))
    WHERE u.id = claimed.requested_by_id"""
"""SQL: the plan of whoever asked for the run `claimed`."""


@dataclass(frozen=True, slots=True)
class ToolLimits:
    """Limits of one answer with tools: `steps` requests to the model whose calls are made (0: no tools at all), calls
    `at_once`, `seconds` without the time in which it waits for a person, `tokens` and `cost` (USD) of all its steps.

    `chosen` are the conversation's tools (None: those that are on by default). `available`: there is a tool at all.
    """

    steps: int = 0
    at_once: int = 8
    seconds: int = 900
    tokens: int | None = None
    cost: Decimal | None = None
    chosen: Sequence[str] | None = None
    web_search: bool = False
    available: bool = False

    @property
    def permits_tools(self) -> bool:
        return self.available and self.steps > 0


NO_TOOLS: Final = ToolLimits()


@dataclass(frozen=True, slots=True)
class ToolsVersion:
    """`stopped`: why staff have stopped all tools; None: they have not. `key` is the same for all users who are offered
    the same, and another one after any change of tools, servers, policies, groups and `search`: whether the site lets
    models search the web.
    """

    stopped: str | None
    key: str
    search: bool = True


def tool_limits(row: Sequence[Any]) -> ToolLimits:
    """The limits in the `TOOL_COLUMNS` of a claim. Without a plan (the user was erased) there are no tools."""
    chosen, web_search, lower, steps, at_once, seconds, tokens, cost, available = row
    if steps is None:
        return NO_TOOLS
    own: Mapping[str, Any] = json.loads(lower) if lower else {}
    return ToolLimits(
        int(_lower(steps, own.get("steps")) or 0),
        at_once,
        int(_lower(seconds, own.get("seconds")) or seconds),
        _whole(_lower(tokens, own.get("tokens"))),
        _lower(cost, own.get("cost")),
        json.loads(chosen) if chosen else None,
        web_search,
        available,
    )


def _lower(limit: Decimal | int | None, own: object) -> Decimal | None:
    """The lower one of two limits. What is no number counts as no limit."""
    known = None if limit is None else Decimal(limit)
    try:
        wanted = None if own is None or isinstance(own, bool) else Decimal(str(own))
    except InvalidOperation:
        wanted = None
    if wanted is None or wanted.is_nan() or wanted < 0:
        return known
    return wanted if known is None else min(known, wanted)


def _whole(limit: Decimal | None) -> int | None:
    return None if limit is None else int(limit)
