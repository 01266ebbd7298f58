"""What a request of the API makes of snapshots that come while an answer is written."""

from __future__ import annotations

import uuid
from types import SimpleNamespace
from typing import Any, cast

import pytest

from accounts.auth.api_tokens import TokenAccess
from chat.api.following import RunFollower, Sign
from chat.protocol.commands import Position

RUN = uuid.uuid4()


def begun(text: str) -> RunFollower:
    """A follower that has passed on this text."""
    access = TokenAccess(uuid.uuid4(), uuid.uuid4(), frozenset(), "")
    follower = RunFollower(uuid.uuid4(), RUN, access)
    delta = {"type": "run.delta", "run_id": str(RUN), "index": 0, "text": text}
    follower.on_event(delta, Position("e", 1))
    return follower


def snapshot(text: str, status: str = "streaming") -> Any:
    return SimpleNamespace(messages=[{"run": {"run_id": str(RUN)}, "text": text, "status": status}])


@pytest.mark.parametrize(
    ("text", "status", "pieces", "sign"),
    [
        pytest.param("Hello, world", "streaming", [("text", "Hello, world")], None, id="more"),
        pytest.param("Hell", "streaming", [("text", "Hello")], None, id="older-than-the-stream"),
        pytest.param("", "pending", [("text", "Hello")], None, id="read-before-its-first-token"),
        pytest.param("Hello", "complete", [("text", "Hello")], Sign.ENDED, id="ended"),
        pytest.param("Hell", "complete", [("text", "Hello")], Sign.CHANGED, id="cut-at-the-end"),
        pytest.param("H***o", "streaming", [("text", "Hello")], Sign.CHANGED, id="masked"),
    ],
)
async def test_a_snapshot(text: str, status: str, pieces: Any, sign: Sign | None) -> None:
    follower = begun("Hello")
    follower.on_snapshot(cast("Any", snapshot(text, status)))
    assert await follower.next(1) == (pieces, sign)


async def test_an_answer_that_is_gone() -> None:
    follower = begun("Hello")
    follower.on_snapshot(cast("Any", SimpleNamespace(messages=[])))
    assert (await follower.next(1))[1] is Sign.CHANGED
