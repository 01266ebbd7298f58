"""The log on a real Redis: contiguous, idempotent, fenced, bounded, and honest about what it lost."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from accounts.lib.redis import sync_redis
from chat.eventlog import store
from chat.protocol.commands import Position
from chat.protocol.frames import encode_event


def event(text: str, *, delta: bool = True) -> tuple[bytes, bool]:
    return encode_event({"type": "run.delta", "text": text}), delta


@pytest.fixture
async def conversation(clean_redis: str) -> AsyncGenerator[uuid.UUID, None]:
    yield uuid.uuid4()
    await store.channel_layer().close()


async def add(conversation: uuid.UUID, *texts: str, **how: Any) -> store.Appended:
    [appended] = await store.append(store.Append(conversation, [event(text) for text in texts], **how))
    return appended


async def test_seq_is_contiguous_over_many_writers(conversation: uuid.UUID) -> None:
    results = await asyncio.gather(*(add(conversation, f"a{n}", f"b{n}") for n in range(50)))
    assert sorted(result.seq for result in results) == list(range(2, 101, 2))
    assert len({result.epoch for result in results}) == 1
    replay = await store.read(conversation, Position(results[0].epoch, 0))
    assert replay.entries is not None
    assert [entry.seq for entry in replay.entries] == list(range(1, 101))


async def test_one_call_appends_to_many_conversations(conversation: uuid.UUID) -> None:
    others = [uuid.uuid4() for _ in range(5)]
    results = await store.append(*(store.Append(other, [event("x"), event("y", delta=False)]) for other in others))
    assert [result.seq for result in results] == [2] * 5


async def test_an_append_sent_again_is_skipped(conversation: uuid.UUID) -> None:
    run = uuid.uuid4()
    await add(conversation, "announced", run_id=run, attempt=0, number=1)
    first = await add(conversation, "a", run_id=run, attempt=1, number=1)
    again = await add(conversation, "a", run_id=run, attempt=1, number=1)
    assert (again.skipped, again.seq) == (True, first.seq)
    assert not (await add(conversation, "b", run_id=run, attempt=1, number=2)).skipped


async def test_an_earlier_attempt_is_fenced(conversation: uuid.UUID) -> None:
    run = uuid.uuid4()
    await add(conversation, "announced", run_id=run, attempt=0, number=1)
    await add(conversation, "new", run_id=run, attempt=2, number=1)
    late = await add(conversation, "old", run_id=run, attempt=1, number=9)
    assert late.fenced
    assert late.seq == 2
    assert (await add(conversation, "announced", run_id=run, attempt=0, number=1)).skipped


async def test_a_run_that_nobody_announced_is_sent_back(conversation: uuid.UUID) -> None:
    run = uuid.uuid4()
    assert (await add(conversation, "started", run_id=run, attempt=1, number=1)).unannounced
    await add(conversation, "announced", run_id=run, attempt=0, number=1)
    assert not (await add(conversation, "started", run_id=run, attempt=1, number=1)).unannounced


async def test_events_are_published_with_their_place(conversation: uuid.UUID) -> None:
    layer = store.channel_layer()
    channel = await layer.new_channel()
    seen: list[dict[str, Any]] = []
    layer.attach(channel, seen.append)
    await layer.group_add(store.group_name(conversation), channel)
    appended = await add(conversation, "one", "two")
    async with asyncio.timeout(5):
        while len(seen) < 2:
            await asyncio.sleep(0)
    assert [message["__stamp__"] for message in seen] == [f"{appended.epoch}:1", f"{appended.epoch}:2"]
    assert [message["b"] for message in seen] == [event("one")[0], event("two")[0]]
    assert seen[0]["c"] == conversation.bytes
    layer.release(channel)


async def test_a_reader_resumes_where_it_was(conversation: uuid.UUID) -> None:
    epoch = (await add(conversation, "a", "b", "c")).epoch
    replay = await store.read(conversation, Position(epoch, 1))
    assert [entry.seq for entry in replay.entries or []] == [2, 3]
    level = await store.read(conversation, Position(epoch, 3))
    assert level.entries == []
    limited = await store.read(conversation, Position(epoch, 0), limit=2)
    assert [entry.seq for entry in limited.entries or []] == [1, 2]
    assert limited.position.seq == 3


async def test_what_cannot_be_recovered_whole_is_not_recovered(conversation: uuid.UUID) -> None:
    epoch = (await add(conversation, "a", "b", "c")).epoch
    assert (await store.read(conversation, Position("another", 1))).entries is None
    assert (await store.read(conversation, Position(epoch, 9))).entries is None, "a position from the future"
    sync_redis().xtrim(store.stream_key(conversation), maxlen=1, approximate=False)
    assert (await store.read(conversation, Position(epoch, 1))).entries is None
    assert (await store.read(conversation, Position(epoch, 2))).entries is not None
    sync_redis().delete(store.stream_key(conversation))
    assert (await store.read(conversation, Position(epoch, 2))).entries is None
    assert (await store.read(conversation, Position(epoch, 3))).entries == [], "who was level stays level"


async def test_a_lost_log_begins_again_under_a_new_epoch(conversation: uuid.UUID) -> None:
    before = await add(conversation, "a")
    sync_redis().delete(store.meta_key(conversation))
    position, _ = await store.position(conversation)
    assert position.epoch != before.epoch
    assert position.seq == 0
    after = await add(conversation, "b")
    assert (after.epoch, after.seq) == (position.epoch, 1)
    replay = await store.read(conversation, position)
    assert [entry.body for entry in replay.entries or []] == [event("b")[0]], "nothing of the old stream is left"


async def test_an_ending_that_the_log_does_not_lead_up_to_begins_it_anew(conversation: uuid.UUID) -> None:
    run, other = uuid.uuid4(), uuid.uuid4()
    for each in (run, other):
        await add(conversation, "announced", run_id=each, attempt=0, number=1)
    before = await add(conversation, "half of", run_id=run, attempt=1, number=1)
    end = store.Append(conversation, [event("end", delta=False), event("x")], run, 1, 1_000_000_000, anew=True)
    [after] = await store.append(end)
    assert after.epoch != before.epoch
    assert after.seq == 2
    assert (await store.read(conversation, Position(before.epoch, before.seq))).entries is None, "take a snapshot"
    assert await store.append(end) == [store.Appended(after.epoch, 2, skipped=True)], "once"
    assert (await add(conversation, " the text", run_id=run, attempt=1, number=2)).fenced
    more = await add(conversation, "more", run_id=other, attempt=1, number=2)
    assert more.epoch != after.epoch, "the log has nothing of what this run wrote before, either"
    assert (await add(conversation, "and more", run_id=other, attempt=1, number=3)).epoch == more.epoch


async def test_a_call_sent_again_to_an_empty_server_begins_another_epoch(
    conversation: uuid.UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client sends a call again whose reply was lost. Were the epoch its argument, two logs would have the same."""
    monkeypatch.setattr(store, "new_epoch", lambda: "the same argument")
    first = await add(conversation, "a")
    position, _ = await store.position(conversation)
    sync_redis().flushall()
    second = await add(conversation, "a")
    sync_redis().flushall()
    third, _ = await store.position(conversation)
    assert position.epoch == first.epoch
    assert len({first.epoch, second.epoch, third.epoch}) == 3


async def test_a_fenced_attempt_writes_nothing_more(conversation: uuid.UUID) -> None:
    run = uuid.uuid4()
    await add(conversation, "announced", run_id=run, attempt=0, number=1)
    shown = await add(conversation, "text", run_id=run, attempt=1, number=1)
    fence = await add(conversation, run_id=run, attempt=1, number=999_999_999)
    assert (fence.seq, fence.skipped) == (shown.seq, False)
    assert (await add(conversation, "more", run_id=run, attempt=1, number=2)).fenced
    closed = await add(conversation, "end", run_id=run, attempt=1, number=1_000_000_000)
    assert (closed.epoch, closed.seq) == (shown.epoch, shown.seq + 1), "its end comes after the fence"


async def test_the_position_tells_events_from_deltas(conversation: uuid.UUID) -> None:
    await store.append(store.Append(conversation, [event("s", delta=False)]))
    await add(conversation, "d", "d")
    position, state = await store.position(conversation)
    assert (position.seq, state) == (3, 1)


async def test_the_log_is_bounded_and_expires(conversation: uuid.UUID) -> None:
    for _ in range(12):
        await add(conversation, *["x"] * 500)
    assert sync_redis().xlen(store.stream_key(conversation)) < store.MAX_EVENTS + 200
    assert 0 < sync_redis().pttl(store.stream_key(conversation)) <= store.STREAM_TTL_MS
    assert sync_redis().pttl(store.meta_key(conversation)) > store.STREAM_TTL_MS


async def test_the_place_before_a_message_is_found(conversation: uuid.UUID) -> None:
    message = uuid.uuid4()
    await add(conversation, "a", "b")
    created = {"type": "message.created", "conversation_id": str(conversation), "message": {"id": str(message)}}
    await store.append(store.Append(conversation, [(encode_event(created), False)]))
    assert (await store.before_message(conversation, message)).seq == 2
    assert (await store.before_message(conversation, uuid.uuid4())).epoch == ""
