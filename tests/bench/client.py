"""One process of the load client. The runner starts it, hands it a plan, and reads what it saw.

Standard input: one line of JSON, the plan (`{"scenario": name, …}`), then a line for each step the runner allows.
Standard output: `{"step": …}` lines while it runs, then `{"result": …}` or `{"failed": …}`.

    python -m tests.bench.client
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
import traceback
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
import uvloop

from tests.bench import sse
from tests.bench.answers import Answered
from tests.bench.door import Door
from tests.bench.plain_wire import PlainSocket, open_plain
from tests.bench.runner import WARM_UP, Runner, leave
from tests.bench.stamps import now_us
from tests.bench.watchers import Watching, run_watching
from tests.bench.wire import ChatSocket


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
    resumed: bool = False  # then all are cut, and each is opened again with the ticket that it has handed over


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
    if plan.resumed:
        for one in sockets:
            one.drop()
        began = time.monotonic()
        pairs = zip(plan.sessions, sockets, strict=False)
        sockets = await asyncio.gather(*(door.open(session, one.resume) for session, one in pairs))
        await runner.step("open", sockets=len(sockets), refused=0, why="", seconds=time.monotonic() - began)
    lost = sum(1 for one in sockets if one.transport is None)
    await leave(sockets, door)
    return {"opened": len(sockets), "refused": failed, "lost": lost}


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
