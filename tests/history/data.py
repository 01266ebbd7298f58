"""What the history checker compares: records of sockets, and rows of PostgreSQL."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.client_view import View


@dataclass
class Socket:
    """One connection's record. `times` are of `frames`, by the monotonic clock."""

    frames: list[dict[str, Any]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    sent: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Period:
    """When somebody was a member of a conversation, by the monotonic clock. `end` is None as long as they are one."""

    start: float
    end: float | None = None


@dataclass
class Viewer:
    """A person at one page: the sockets it had, one after the other, and when which access ended ("*": all of it).

    `periods` has the memberships of somebody who was added, by conversation.
    """

    user: str
    sockets: list[Any] = field(default_factory=list)  # `Socket`s or `Client`s
    revoked: dict[str, float] = field(default_factory=dict)
    views: dict[str, View] = field(default_factory=dict)
    periods: dict[str, list[Period]] = field(default_factory=dict)


@dataclass
class Rows:
    """What PostgreSQL holds. Ids are strings."""

    messages: dict[str, dict[str, Any]] = field(default_factory=dict)
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    submissions: list[dict[str, Any]] = field(default_factory=list)
    members: set[tuple[str, str]] = field(default_factory=set)  # (conversation, user's name)
    bills: list[dict[str, Any]] = field(default_factory=list)  # run_id, input_tokens, output_tokens
    reserved: list[str] = field(default_factory=list)  # runs that quotas are held back for
    reasoning: dict[str, str] = field(default_factory=dict)  # by run
    queued: list[dict[str, Any]] = field(default_factory=list)  # messages that wait, and those that were removed
    steps: list[dict[str, Any]] = field(default_factory=list)
    calls: dict[str, dict[str, Any]] = field(default_factory=dict)  # of tools; `waits`: how often one waited
    comparisons: dict[str, dict[str, Any]] = field(default_factory=dict)  # size, chosen_id; by question
