"""The bookkeeping of subscriptions against a model of Redis, in any order of events."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from redis.asyncio.connection import ConnectionPool

from chat.channel_layer.stats import LayerStats
from chat.channel_layer.subscriber import Subscriber

NAMES = [b"a", b"b"]


class Model:
    """One Redis and the connection to it: what was written is carried out name by name, when the test says so."""

    def __init__(self) -> None:
        self.subscribed: set[bytes] = set()
        self.todo: deque[tuple[bytes, bytes]] = deque()

    def write(self, data: bytes) -> None:
        parts = data.split(b"\r\n")
        while len(parts) > 1:
            count = int(parts[0][1:])
            command, *names = parts[2 : 1 + 2 * count : 2]
            self.todo.extend((command, name) for name in names)
            parts = parts[1 + 2 * count :]

    def carry_out_one(self) -> list[Any] | None:
        if not self.todo:
            return None
        command, name = self.todo.popleft()
        if command == b"SUBSCRIBE":
            self.subscribed.add(name)
        else:
            self.subscribed.discard(name)
        return [command.lower(), name, len(self.subscribed)]


class Idle(Subscriber):
    """Without a supervisor: the test opens and loses the connection."""

    def connect(self) -> None:
        pass


EVENTS = st.one_of(
    st.tuples(st.sampled_from(["join", "leave"]), st.sampled_from(NAMES)),
    st.tuples(st.sampled_from(["turn", "redis", "redis", "lose", "open"]), st.none()),
)


AGAIN: list[tuple[str, bytes | None]] = [  # the acknowledgement of the first SUBSCRIBE is not the last one's
    ("join", b"a"), ("turn", None), ("leave", b"a"), ("turn", None), ("join", b"a"), ("turn", None),
    ("redis", None), ("redis", None), ("redis", None),
]  # fmt: skip


@settings(max_examples=150, deadline=None)
@example(AGAIN)
@given(st.lists(EVENTS, max_size=40))
def test_a_join_returns_when_redis_has_it_and_all_ends_as_wanted(events: list[tuple[str, bytes | None]]) -> None:
    recovered: list[set[bytes]] = []

    async def play() -> None:
        model = Model()
        subscriber = Idle(
            ConnectionPool(),
            LayerStats(),
            timeout=5,
            ping_interval=5,
            deliver=lambda address, payload: None,
            on_lost=lambda: None,
            on_recovered=lambda: recovered.append(set(model.subscribed)),
        )
        owners = dict.fromkeys(NAMES, 0)
        generation = dict.fromkeys(NAMES, 0)  # counts leaves and losses: a join is held to what came after it
        live: dict[bytes, int] = {}  # names whose join has returned, and its generation
        joins: list[asyncio.Task[None]] = []

        async def join(name: bytes, of: int) -> None:
            await subscriber.wait_until_subscribed(name)
            if generation[name] == of:
                live[name] = of
                check()

        def check() -> None:
            for name, of in live.items():
                assert name in model.subscribed or generation[name] != of, "returned before Redis had it for good"

        def open_() -> None:
            if subscriber._connection is None:
                subscriber._connection = model  # type: ignore[assignment]  # as much of a connection as is used here
                subscriber._opened()

        def lose() -> None:
            if subscriber._connection is not None:
                subscriber._connection = None
                model.todo.clear()
                model.subscribed.clear()
                for name in NAMES:
                    generation[name] += 1
                subscriber._lost(ConnectionError())

        open_()
        for event, name in events:
            if event == "join" and name is not None:
                owners[name] += 1
                subscriber.subscribe(name)
                joins.append(asyncio.create_task(join(name, generation[name])))
                await asyncio.sleep(0)  # it begins to wait at once, as group_add does
            elif event == "leave" and name is not None and owners[name]:
                owners[name] -= 1
                generation[name] += not owners[name]
                subscriber.unsubscribe(name)
            elif event == "turn":
                await asyncio.sleep(0)
            elif event == "redis" and (reply := model.carry_out_one()):
                subscriber._received(reply)
                await asyncio.sleep(0)  # who waited looks before anything else happens
                await asyncio.sleep(0)
                check()
            elif event == "open":
                open_()
            elif event == "lose":
                lose()
        open_()
        for _ in range(4):
            await asyncio.sleep(0)
            while reply := model.carry_out_one():
                subscriber._received(reply)
        async with asyncio.timeout(1):
            await asyncio.gather(*joins)
        wanted = {name for name in NAMES if owners[name]}
        assert model.subscribed == wanted
        assert set(subscriber._subscriptions) == wanted
        assert not subscriber._acks

    asyncio.run(play())
