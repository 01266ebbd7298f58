"""The emitter on a real Redis: what goes in comes out in order, first at once, then gathered."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncGenerator
from typing import Any

import pytest
import redis

from chat.eventlog import store
from chat.protocol.commands import Position
from chat.protocol.frames import encode_event
from chat.protocol.limits import MAX_FRAME_BYTES
from chat.runs.ending import Ended
from workers.generation.emitter import MOST_AT_ONCE, Emitter
from workers.generation.flush_window import LONGEST, SHORTEST, FlushWindow
from workers.generation.run_log import RunLog


@pytest.fixture
async def emitter(clean_redis: str) -> AsyncGenerator[Emitter, None]:
    made = Emitter()
    yield made
    await made.stop()
    await store.channel_layer().close()


async def open_run(emitter: Emitter) -> RunLog:
    """A run that has been announced and has started."""
    run = emitter.open(uuid.uuid4(), uuid.uuid4(), 1)
    await announce(run)
    run.event((encode_event({"type": "run.started"}), False))
    await run.flush()
    return run


async def announce(run: RunLog) -> None:
    event = (encode_event({"type": "run.queued"}), False)
    await store.append(store.Append(run.conversation_id, [event], run.run_id, attempt=0, number=1))


async def deltas(run: RunLog) -> list[dict[str, Any]]:
    replay = await store.read(run.conversation_id, Position(run.epoch, 0))
    assert replay.entries is not None
    return [json.loads(entry.body) for entry in replay.entries if entry.delta]


async def test_the_first_token_does_not_wait(emitter: Emitter) -> None:
    run = await open_run(emitter)
    emitter.window.seconds = emitter.window.shortest = 30.0
    run.feed("first")
    async with asyncio.timeout(5):
        while run.flushed_length < 5 or run.in_flight:
            await asyncio.sleep(0)
    run.feed(" second")
    run.feed(" third")
    await asyncio.sleep(0.05)
    assert [delta["text"] for delta in await deltas(run)] == ["first"], "later ones gather for the window"
    await run.flush()
    assert [delta["text"] for delta in await deltas(run)] == ["first", " second third"]
    assert [delta["index"] for delta in await deltas(run)] == [0, 5]


async def test_first_tokens_go_before_all_later_ones(emitter: Emitter, monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy worker: more streams have something to append than one append takes, and another answer begins."""
    streams = [await open_run(emitter) for _ in range(2 * MOST_AT_ONCE)]
    for run in streams:
        run.feed("first")
    await asyncio.gather(*(run.flush() for run in streams))
    beginning = await open_run(emitter)
    appended: list[list[uuid.UUID | None]] = []
    append = store.append

    async def record(*appends: store.Append) -> list[store.Appended]:
        appended.append([one.run_id for one in appends])
        return await append(*appends)

    monkeypatch.setattr(store, "append", record)
    for run in streams:
        run.due = 1.0  # long ago
        run.feed(" later")
    beginning.feed("first")
    async with asyncio.timeout(5):
        while sum(map(len, appended)) < len(streams) + 1:
            await asyncio.sleep(0.01)
    assert appended[0][0] == beginning.run_id
    assert [len(one) for one in appended] == [MOST_AT_ONCE, MOST_AT_ONCE, 1], "one that begins meanwhile waits for few"


async def test_many_streams_keep_their_order_and_lose_nothing(emitter: Emitter) -> None:
    runs = [await open_run(emitter) for _ in range(20)]
    for number in range(300):
        for run in runs:
            run.feed(f"{number} ")
        if number % 10 == 0:
            await asyncio.sleep(0.001)
    await asyncio.gather(*(run.flush() for run in runs))
    expected = "".join(f"{number} " for number in range(300))
    for run in runs:
        found = await deltas(run)
        assert "".join(delta["text"] for delta in found) == expected == run.text
        assert len(found) < 100, "tokens were gathered"
        assert [delta["index"] for delta in found] == [
            sum(len(earlier["text"]) for earlier in found[:place]) for place in range(len(found))
        ]


async def test_however_much_comes_at_once_no_frame_is_too_long(emitter: Emitter) -> None:
    run = await open_run(emitter)
    text = "\N{GRINNING FACE}" * 20_000
    run.feed(text)
    await run.flush()
    replay = await store.read(run.conversation_id, Position(run.epoch, 0))
    assert replay.entries is not None
    assert max(len(entry.body) for entry in replay.entries) < MAX_FRAME_BYTES
    found = await deltas(run)
    assert [delta["index"] for delta in found] == [0, 8_000, 16_000]
    assert "".join(delta["text"] for delta in found) == text


async def test_a_later_attempt_fences_the_emitter(emitter: Emitter) -> None:
    run = await open_run(emitter)
    run.feed("old")
    await run.flush()
    other = store.Append(run.conversation_id, [(encode_event({"type": "run.started"}), False)], run.run_id, 2, 1)
    await store.append(other)
    run.feed(" never seen")
    await run.flush()
    assert run.fenced
    assert [delta["text"] for delta in await deltas(run)] == ["old"]


async def test_a_closed_attempt_writes_nothing_more(emitter: Emitter) -> None:
    """The reaper has closed this very attempt; the paused worker comes back."""
    from chat.runs.closing import TERMINAL_NUMBER

    run = await open_run(emitter)
    run.feed("old")
    await run.flush()
    closing = (encode_event({"type": "run.interrupted"}), False)
    await store.append(store.Append(run.conversation_id, [closing], run.run_id, 1, TERMINAL_NUMBER))
    run.feed(" never seen")
    await run.flush()
    assert run.fenced
    assert [delta["text"] for delta in await deltas(run)] == ["old"]


async def test_an_unannounced_run_waits_for_its_announcement(emitter: Emitter) -> None:
    run = emitter.open(uuid.uuid4(), uuid.uuid4(), 1)
    asked: list[bool] = []
    run.on_unannounced = lambda: asked.append(True)
    run.event((encode_event({"type": "run.started"}), False))
    run.feed("text")
    async with asyncio.timeout(5):
        while not asked:
            await asyncio.sleep(0)
    await announce(run)
    run.announced()
    await run.flush()
    replay = await store.read(run.conversation_id, Position(run.epoch, 0))
    kinds = [json.loads(entry.body)["type"] for entry in replay.entries or []]
    assert kinds == ["run.queued", "run.started", "run.delta"]
    assert asked == [True]


async def test_an_abandoned_run_leaves_its_end_only(emitter: Emitter, monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis was away for so long that the answer ended without it; what was on its way must not come after all."""
    run = await open_run(emitter)
    run.feed("seen")
    await run.flush()
    epoch, append = run.epoch, store.append

    async def fail(*_: store.Append) -> list[store.Appended]:
        raise redis.exceptions.TimeoutError

    monkeypatch.setattr(store, "append", fail)
    run.feed(" never seen")
    async with asyncio.timeout(5):
        while run.in_flight is None:
            await asyncio.sleep(0)
    run.feed(" nor this")
    run.abandon()
    end = (encode_event({"type": "run.done"}), False)
    emitter.close_run(Ended(run.conversation_id, run.run_id, 1, end, silent=False, whole=False))
    monkeypatch.setattr(store, "append", append)
    async with asyncio.timeout(5):
        while not emitter.closed:
            await asyncio.sleep(0.01)
    here, _ = await store.position(run.conversation_id)
    assert here.epoch != epoch
    replay = await store.read(run.conversation_id, Position(here.epoch, 0))
    assert [json.loads(entry.body)["type"] for entry in replay.entries or []] == ["run.done"]


async def test_checkpoints_cover_the_log_exactly(emitter: Emitter) -> None:
    run = await open_run(emitter)
    run.feed("one ")
    await run.flush()
    point = run.checkpoint()
    assert point is not None
    assert (point.text, point.seq) == ("one ", 3)
    assert run.checkpoint() is None, "PostgreSQL has it"
    emitter.window.seconds = emitter.window.shortest = 30.0
    run.feed("two")
    assert run.checkpoint() is None, "what the log does not have yet is not in a checkpoint"


def test_the_window_widens_with_load_and_comes_back() -> None:
    window = FlushWindow()
    assert window.seconds == SHORTEST
    for _ in range(100):
        window.woke(0.02)
        window.flushed(0.03, streams=400)
    assert window.seconds > 0.15
    for _ in range(100):
        window.flushed(5.0, streams=400)
    assert window.seconds == LONGEST
    for _ in range(200):
        window.woke(0.0)
        window.flushed(0.001, streams=1)
    assert window.seconds == pytest.approx(SHORTEST, rel=0.05)


async def test_flushing_nothing_returns_at_once(emitter: Emitter) -> None:
    run = await open_run(emitter)
    began = time.monotonic()
    await run.flush()
    assert time.monotonic() - began < 5
