"""A snapshot is the state of one moment, whatever is committed or lost while it is read."""

from __future__ import annotations

import threading
import uuid
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest
from django.db import connections

from accounts.lib.db import in_db
from accounts.lib.redis import sync_redis
from accounts.models import User
from chat.conversations import snapshot
from chat.eventlog import events, store
from chat.models import RunStatus
from chat.runs.claims import Checkpoint, checkpoint, claim
from chat.runs.ending import Ending, end_run
from chat.turns.accepted import Accepted
from chat.turns.submit import announce
from tests.fixtures.run_rows import say

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
async def answering(alice: User, clean_redis: str) -> AsyncGenerator[Accepted, None]:
    """A turn whose answer is half written: "half of it" in the log, "half" in its checkpoint."""
    turn = await in_db(say, alice)
    await announce(turn)
    await in_db(claim, turn.run_id, "w")
    first = await write(turn, 0, "half", 2)
    await in_db(checkpoint, [Checkpoint(turn.run_id, 1, first.epoch, first.seq, "half")], "w")
    await write(turn, 4, " of it", 3)
    yield turn
    await store.channel_layer().close()


async def write(
    turn: Accepted, index: int, text: str, number: int, build: Callable[..., events.Event] = events.run_delta
) -> store.Appended:
    delta = build(str(turn.conversation_id), str(turn.run_id), 1, index, text)
    [appended] = await store.append(store.Append(turn.conversation_id, [delta], turn.run_id, 1, number))
    return appended


def end_elsewhere(run_id: uuid.UUID, text: str) -> None:
    """Commits the end of a run on another connection."""

    def end() -> None:
        try:
            assert end_run(run_id, 1, RunStatus.DONE, Ending(text)) is not None
        finally:
            connections.close_all()

    other = threading.Thread(target=end)
    other.start()
    other.join()


async def test_an_end_committed_between_two_reads(answering: Accepted, monkeypatch: pytest.MonkeyPatch) -> None:
    """The messages were read before the commit and the runs after it; the closing event is not in the log yet."""
    read_runs = snapshot._with_runs
    calls: list[int] = []

    def end_and_read(rows: Any, *, versions: bool) -> Any:
        if not calls:
            calls.append(1)
            end_elsewhere(answering.run_id, "half of it, and the rest")
        return read_runs(rows, versions=versions)

    monkeypatch.setattr(snapshot, "_with_runs", end_and_read)
    state = await snapshot.read_snapshot(answering.conversation_id)
    assert calls, "the end was committed while the snapshot was read"
    shown = state.messages[-1]
    assert (shown["status"], shown["run"]["status"], shown["text"]) == ("streaming", "running", "half of it")
    assert [run["run_id"] for run in state.runs] == [str(answering.run_id)]


async def test_redis_loses_the_log_before_the_text_is_completed_from_it(
    answering: Accepted, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, _ = await store.position(answering.conversation_id)
    read_entries = store.entries
    lost: list[Any] = []

    async def lose_and_read(*args: Any, **kwargs: Any) -> Any:
        if not lost:
            lost.append(sync_redis().flushall())
        return await read_entries(*args, **kwargs)

    monkeypatch.setattr(store, "entries", lose_and_read)
    state = await snapshot.read_snapshot(answering.conversation_id)
    assert lost
    assert state.position.epoch != before.epoch, "taken again: a position of the lost log would name a text it has not"
    assert state.messages[-1]["text"] == "half"


async def test_a_run_that_goes_on_in_a_lost_log_ends_the_positions_of_shorter_texts(answering: Accepted) -> None:
    """A client that reconnects with such a position takes a snapshot, and gets no text with a gap before it."""
    sync_redis().flushall()
    state = await snapshot.read_snapshot(answering.conversation_id)
    assert state.messages[-1]["text"] == "half"
    appended = await write(answering, 10, ", and more", 4)
    assert appended.epoch != state.position.epoch
    assert (await store.read(answering.conversation_id, state.position)).entries is None


async def test_reasoning_is_of_the_same_moment_as_the_text(answering: Accepted) -> None:
    """Both texts are completed from the log, each beyond its checkpoint."""
    run = answering.run_id
    first = await write(answering, 0, "hm", 4, events.run_reasoning)
    point = Checkpoint(run, 1, first.epoch, first.seq, "half of it", reasoning="hm", reasoning_ms=500)
    assert await in_db(checkpoint, [point], "w") == {run}
    later = await write(answering, 2, ", well", 5, events.run_reasoning)
    await write(answering, 10, ".", 6)
    for read in (snapshot.read_snapshot, snapshot.read_state):
        state = await read(answering.conversation_id)
        [shown] = state.runs
        assert shown["reasoning"] == {"length": 8, "ms": 500, "tokens": 0, "text": "hm, well"}
        assert state.messages[-1]["text"] == "half of it."
        assert state.position.seq == later.seq + 1
    done = await in_db(end_run, run, 1, RunStatus.DONE, Ending("half of it.", reasoning="hm, well", reasoning_ms=900))
    assert done is not None
    state = await snapshot.read_snapshot(answering.conversation_id)
    assert state.messages[-1]["run"]["reasoning"] == {"length": 8, "ms": 900, "tokens": 2, "text": "hm, well"}
