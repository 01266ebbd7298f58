"""The load client's readers of one conversation."""

from __future__ import annotations

import asyncio
import secrets
import time
from typing import Any

import aiohttp
import msgspec

from tests.bench.door import Door
from tests.bench.runner import JOIN_AT_ONCE, Runner, leave
from tests.bench.wire import ChatSocket, Position


class Watching(msgspec.Struct):
    """Rooms that several people follow while somebody asks in each; in a storm all followers are cut off at once."""

    urls: list[str]
    rooms: list[tuple[str, list[str]]]  # (conversation id, sessions: the first asks, the rest watch)
    model: str
    limit_s: float
    storm_after_s: float = 0.0  # 0 = no storm
    tag: str = "w"


class Follower:
    """One who watches a room, over as many sockets as it takes, and puts the text together."""

    def __init__(self, door: Door, room: str, session: str) -> None:
        self.door, self.room, self.session = door, room, session
        self.socket: ChatSocket | None = None
        self.text = ""
        self.level_s = 0.0
        self.recovered = False
        self.tries = 0
        self.problem = ""

    async def join(self) -> None:
        self.socket = await self.door.open(self.session)
        await self.socket.subscribe(self.room, None)

    async def come_back(self, began: float, asker: ChatSocket) -> None:
        """After the storm: reconnect with the position we had, and note when we know what the asker knows."""
        assert self.socket is not None
        before = self.socket
        self.text = "".join(piece for _, piece in before.pieces)
        for attempt in range(10):
            self.tries += 1
            try:
                await self._resume(before)
                break
            except (OSError, TimeoutError, RuntimeError, aiohttp.ClientError) as error:
                self.problem = repr(error)
                await asyncio.sleep(0.05 * 2**attempt * (0.5 + secrets.randbelow(100) / 100))
        else:
            return
        while self.socket.seq < asker.seq and self.socket.transport is not None:
            await asyncio.sleep(0.005)
        self.level_s = time.monotonic() - began

    async def _resume(self, before: ChatSocket) -> None:
        ticket, before.resume = before.resume, ""
        self.socket = socket = await self.door.open(self.session, ticket)
        socket.run, socket.length = before.run, before.length
        reply = await socket.subscribe(self.room, Position(before.epoch, before.seq))
        self.recovered = reply.recovered
        if not reply.recovered and reply.snapshot is not None:
            self.text = reply.snapshot["messages"][-1]["text"]


async def run_watching(runner: Runner, plan: Watching) -> dict[str, Any]:
    door = Door(plan.urls)
    rooms = [(room, sessions[0], sessions[1:]) for room, sessions in plan.rooms]
    askers = await door.open_all([asker for _, asker, _ in rooms])
    followers = [[Follower(door, room, session) for session in watching] for room, _, watching in rooms]
    everyone = [one for group in followers for one in group]
    gate = asyncio.Semaphore(JOIN_AT_ONCE)

    async def join(one: Follower) -> None:
        async with gate:
            await one.join()

    await asyncio.gather(*map(join, everyone))
    for asker, (room, _, _) in zip(askers, rooms, strict=True):
        await asker.subscribe(room, None)
    await runner.step("connected", sockets=len(everyone) + len(askers))
    runner.lag.begin()
    for one in everyone:
        assert one.socket is not None
        one.socket.begin("")
    for number, (asker, (room, _, _)) in enumerate(zip(askers, rooms, strict=True)):
        asker.ask(f"{plan.tag}{number}", plan.model, room)
    if plan.storm_after_s:
        await asyncio.sleep(plan.storm_after_s)
        await runner.step("storm")
        began = time.monotonic()
        for one in everyone:
            assert one.socket is not None
            one.socket.drop()
        door.gate = asyncio.Semaphore(64)
        coming = [one.come_back(began, asker) for asker, group in zip(askers, followers, strict=True) for one in group]
        await asyncio.gather(*coming)
        await runner.step("level")
    ends = [one.socket.ended for one in everyone if one.socket] + [asker.ended for asker in askers]
    await asyncio.wait(ends, timeout=plan.limit_s)
    told = runner.lag.end()
    await runner.step("streamed")
    answers = [asker.read() for asker in askers]
    wrong, added = 0, []
    for answer, group in zip(answers, followers, strict=True):
        for one in group:
            assert one.socket is not None
            seen = one.socket.read()
            added += seen.added_us
            whole = one.text + "".join(piece for _, piece in one.socket.pieces)
            one.socket.pieces = [(0, whole)]
            wrong += one.socket.read().crc != answer.crc
    sockets = [one.socket for one in everyone if one.socket]
    result = {
        "answers": msgspec.to_builtins(answers),
        "followers": len(everyone),
        "wrong": wrong,
        "added_us": added if not plan.storm_after_s else [],
        "level_s": [one.level_s for one in everyone if one.level_s],
        "recovered": sum(one.recovered for one in everyone),
        "resets": sum(one.resets for one in sockets),
        "tries": sum(one.tries for one in everyone),
        "problem": next((one.problem for one in everyone if one.problem), ""),
        **told,
    }
    await leave([*sockets, *askers], door)
    return result
