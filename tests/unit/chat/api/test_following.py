"""What a request of the API makes of snapshots that come while an answer is written."""

from __future__ import annotations

import uuid
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import AsyncMock

import msgspec
import pytest

from accounts.auth.api_tokens import TokenAccess
from chat.api.following import RunFollower, Sign
from chat.eventlog import store
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


class Layer:
    """A channel layer on which a delta arrives while `RunFollower.start` is still about its other groups."""

    def __init__(self) -> None:
        self._joined = 0

    async def new_channel(self) -> str:
        return "channel"

    def attach(self, channel: str, receive: Any) -> None:
        self._receive = receive

    async def group_add(self, group: str, channel: str) -> None:
        self._joined += 1
        if self._joined == 2:  # the first group is that of the log
            body = msgspec.json.encode({"type": "run.delta", "run_id": str(RUN), "index": 5, "text": ", world"})
            self._receive({"type": "log.event", "__stamp__": "e:8", "b": body, "d": True})


async def test_text_that_comes_while_it_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first snapshot shows the beginning of the answer: what follows is not taken for a gap."""
    run = {"run_id": str(RUN), "text_length": 5}
    message = {"id": "m", "parent_id": None, "run": run, "text": "Hello", "status": "streaming"}
    state = SimpleNamespace(messages=[message], position=Position("e", 7))
    follower = RunFollower(uuid.uuid4(), RUN, TokenAccess(uuid.uuid4(), uuid.uuid4(), frozenset(), ""))
    layer = Layer()
    monkeypatch.setattr(store, "channel_layer", lambda: layer)
    monkeypatch.setattr(follower, "_read_state", AsyncMock(return_value=state))
    monkeypatch.setattr(follower, "on_change", AsyncMock())
    await follower.start()
    assert await follower.next(1) == ([("text", "Hello, world")], None)
