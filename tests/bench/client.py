"""One process of the load client. The runner starts it, hands it a plan, and reads what it saw.

Standard input: one line of JSON, the plan (`{"scenario": name, …}`), then a line for each step the runner allows.
Standard output: `{"step": …}` lines while it runs, then `{"result": …}` or `{"failed": …}`.

    python -m tests.bench.client
"""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
import time
import traceback
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import aiohttp
import msgspec
import uvloop

from tests.bench import sse
from tests.bench.answers import Answered
from tests.bench.door import Door
from tests.bench.stamps import now_us
from tests.bench.wire import ChatSocket, Line, PlainSocket, Position, open_plain

JOIN_AT_ONCE: Final = 32  # who come to watch; what is measured begins afterwards
WARM_UP: Final = 2  # answers of a system that is to be measured idle, not counted


class Runner:
    """The other end of standard input and output."""

    def __init__(self, lines: asyncio.StreamReader) -> None:
        self.lines = lines
        self.lag = Lag()

    async def step(self, name: str, **told: Any) -> str:
        """Says where we are and waits for the runner's word."""
        print(json.dumps({"step": name, **told}), flush=True)
        line = await self.lines.readline()
        if not line:
            raise EOFError("the runner is gone")
        return line.decode().strip()


class Lag:
    """How late this process's loop is: when it is slow, its figures are its own."""

    def __init__(self) -> None:
        self.worst_ms = 0.0
        self.cpu_s = 0.0
        self._began = 0.0

    def begin(self) -> None:
        self.worst_ms = 0.0
        self._began = time.process_time()
        self._loop = asyncio.get_running_loop()
        self._due = self._loop.time() + 0.05
        self._timer = self._loop.call_at(self._due, self._tick)

    def _tick(self) -> None:
        now = self._loop.time()
        self.worst_ms = max(self.worst_ms, (now - self._due) * 1000)
        self._due = now + 0.05
        self._timer = self._loop.call_at(self._due, self._tick)

    def end(self) -> dict[str, float]:
        self._timer.cancel()
        return {"client_cpu_s": time.process_time() - self._began, "client_lag_ms": self.worst_ms}


class Streams(msgspec.Struct):
    """N answers at once. `sessions` is empty for a baseline (`plain`)."""

    urls: list[str]
    sessions: list[str]
    streams: int
    model: str
    ramp_s: float
    limit_s: float
    plain: bool = False
    tag: str = "s"
    login: tuple[str, str] | None = None  # e-mail address and password, instead of a session


async def open_lines(plan: Streams) -> tuple[list[PlainSocket] | list[ChatSocket], Door | None]:
    if plan.plain:
        return await asyncio.gather(*(open_plain(plan.urls[0]) for _ in range(plan.streams))), None
    door = Door(plan.urls)
    sessions = [await door.login(*plan.login)] if plan.login else plan.sessions[: plan.streams]
    return await door.open_all(sessions), door


async def run_streams(runner: Runner, plan: Streams) -> dict[str, Any]:
    """Every socket asks once, spread over the ramp, and reads to the end or the limit."""
    began = time.monotonic()
    lines, door = await open_lines(plan)
    await runner.step("connected", seconds=time.monotonic() - began)
    runner.lag.begin()
    loop = asyncio.get_running_loop()
    for number, line in enumerate(lines):
        loop.call_later(number * plan.ramp_s / plan.streams, line.ask, f"{plan.tag}{number}", plan.model)
    await asyncio.sleep(plan.ramp_s)
    await asyncio.wait([line.ended for line in lines], timeout=plan.limit_s)
    told = runner.lag.end()
    stopped_us = now_us()
    await runner.step("streamed")
    answers = msgspec.to_builtins([line.read() for line in lines])  # before leaving changes them
    await leave(lines, door)
    return {"answers": answers, "stopped_us": stopped_us, **told}


async def run_one_by_one(runner: Runner, plan: Streams) -> dict[str, Any]:
    """Answers one after the other on an idle system: what the first token costs."""
    one = msgspec.structs.replace(plan, streams=1)
    lines, door = await open_lines(one)
    line = lines[0]
    answers: list[Answered] = []
    await runner.step("connected")
    for number in range(-WARM_UP, plan.streams):
        line.ask(f"{plan.tag}{number}" if number >= 0 else "warmup", plan.model)
        try:
            await asyncio.wait_for(asyncio.shield(line.ended), plan.limit_s)
        except TimeoutError:
            line.finish("timeout")
        if number >= 0:
            answers.append(line.read())
        await asyncio.sleep(0.05)  # so that what ends an answer is not part of the next one
    await runner.step("streamed")
    await leave(lines, door)
    return {"answers": msgspec.to_builtins(answers), "stopped_us": now_us()}


class Admission(msgspec.Struct):
    """People with a conversation each who send `rounds` messages, one every `every_s`; then `bursts`, all at once; then
    again one by one."""

    urls: list[str]
    sessions: list[str]
    model: str
    rounds: int
    every_s: float
    bursts: int
    limit_s: float = 30.0


async def run_admission(runner: Runner, plan: Admission) -> dict[str, Any]:
    door = Door(plan.urls)
    sockets = await door.open_all(plan.sessions)
    seen: list[Answered] = []

    async def send(number: int, tag: str) -> None:
        socket = sockets[number]
        answer = socket.ask(tag, plan.model, socket.conversation_id or None)
        try:
            await asyncio.wait_for(asyncio.shield(socket.ended), plan.limit_s)
        except TimeoutError:
            socket.finish("timeout")
        seen.append(answer)

    async def pace(number: int) -> None:
        began = loop.time() + plan.every_s * number / len(sockets)  # spread evenly, so that the crowd has no beat
        for turn in range(plan.rounds):
            await asyncio.sleep(began + turn * plan.every_s - loop.time())
            await send(number, f"pace{number}-{turn}")

    async def paced() -> None:
        await asyncio.gather(*map(pace, range(len(sockets))))

    async def burst() -> None:
        for turn in range(plan.bursts):
            await asyncio.gather(*(send(number, f"burst{number}-{turn}") for number in range(len(sockets))))
            await asyncio.sleep(0.5)

    loop = asyncio.get_running_loop()
    for number in range(len(sockets)):
        await send(number, f"warmup{number}")  # which makes the conversation, and the allowances
    told: dict[str, Any] = {}
    step = "connected"
    for phase in (paced, burst, paced):
        await runner.step(step, **told)
        seen.clear()
        runner.lag.begin()
        began = loop.time()
        await phase()
        seconds = loop.time() - began
        step, told = "sent", {"answers": msgspec.to_builtins(seen), "seconds": seconds, **runner.lag.end()}
    await runner.step(step, **told)
    await leave(sockets, door)
    return {}


class Idle(msgspec.Struct):
    urls: list[str]
    sessions: list[str]
    sockets: list[int]  # measured at each of these numbers
    sources: int = 4


async def run_idle(runner: Runner, plan: Idle) -> dict[str, Any]:
    """Opens sockets and does nothing with them, in steps."""
    door = Door(plan.urls, plan.sources)
    sockets: list[ChatSocket] = []
    failed = 0
    first = ""
    for target in plan.sockets:
        began = time.monotonic()
        wanted = [plan.sessions[number % len(plan.sessions)] for number in range(len(sockets), target)]
        opened = await asyncio.gather(*(door.open(session) for session in wanted), return_exceptions=True)
        sockets += [one for one in opened if isinstance(one, ChatSocket)]
        problems = [one for one in opened if isinstance(one, BaseException)]
        failed += len(problems)
        first = first or (repr(problems[0]) if problems else "")
        await runner.step("open", sockets=len(sockets), refused=failed, why=first, seconds=time.monotonic() - began)
    lost = sum(1 for one in sockets if one.transport is None)
    await leave(sockets, door)
    return {"opened": len(sockets), "refused": failed, "lost": lost}


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
        self.socket = socket = await self.door.open(self.session)
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


async def leave(lines: Sequence[Line], door: Door | None) -> None:
    for line in lines:
        line.close()
    open_ones = [line.closed for line in lines if not line.closed.done()]
    if open_ones:
        await asyncio.wait(open_ones, timeout=5)
    if door is not None:
        await door.close()


SCENARIOS: Final[dict[str, tuple[type[Any], Callable[[Runner, Any], Awaitable[dict[str, Any]]]]]] = {
    "streams": (Streams, run_streams),
    "one_by_one": (Streams, run_one_by_one),
    "admission": (Admission, run_admission),
    "idle": (Idle, run_idle),
    "watching": (Watching, run_watching),
    **sse.SCENARIOS,
}


async def main() -> None:
    lines = asyncio.StreamReader(limit=64 * 1024 * 1024)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    plan = json.loads(await lines.readline())
    kind, run = SCENARIOS[plan.pop("scenario")]
    try:
        result = await run(Runner(lines), msgspec.convert(plan, kind))
    except Exception as error:
        print(json.dumps({"failed": f"{type(error).__name__}: {error}", "trace": traceback.format_exc()}), flush=True)
        return
    print(json.dumps({"result": result}), flush=True)


if __name__ == "__main__":
    uvloop.run(main())
