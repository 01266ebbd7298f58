"""Ten minutes of people coming, asking and leaving: does memory stay where it was? `python -m tests.bench.soak`.

Prints the resident memory of the web and the worker process every half minute, and the slope over the second half.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time

import psutil

from tests.client import Session, session
from tests.fakes.openai_server import FakeOpenAI
from tests.servers import servers
from tests.stack import Stack, run_stack

AT_ONCE = 20  # sockets that come, ask, read and leave, over and over
SAMPLE_SECONDS = 30.0


async def visit(person: Session, number: int) -> None:
    """One visit: connect, a new conversation, an answer (every third is cut short by leaving), disconnect."""
    client = await person.connect()
    accepted = await client.say(f"Visit {number} [[tokens=40 rate=80]]")
    if number % 3:
        await client.ended(accepted["run_id"])
        await client.close()
    else:
        await client.drop()


async def visitor(person: Session, place: int, until: float, done: list[int]) -> None:
    number = place
    while time.monotonic() < until:
        await visit(person, number)
        done.append(number)
        number += AT_ONCE


def resident(stack: Stack) -> dict[str, float]:
    """MB of each process."""
    found = {"web": stack.webs[0].pid, "worker": stack.workers[0].pid, "redis": stack.redis.process.pid}  # type: ignore[union-attr]  # it runs
    return {name: psutil.Process(pid).memory_info().rss / 1e6 for name, pid in found.items()}


async def soak(stack: Stack, seconds: float) -> None:
    async with session(stack.url, fresh=True) as person:
        began, done = time.monotonic(), list[int]()
        visitors = [asyncio.create_task(visitor(person, place, began + seconds, done)) for place in range(AT_ONCE)]
        samples: list[tuple[float, dict[str, float]]] = []
        while not all(task.done() for task in visitors):
            await asyncio.wait(visitors, timeout=SAMPLE_SECONDS)
            samples.append((time.monotonic() - began, resident(stack)))
            sizes = ", ".join(f"{name} {size:.0f} MB" for name, size in samples[-1][1].items())
            print(f"{samples[-1][0]:5.0f} s, {len(done):6} visits: {sizes}", flush=True)
        await asyncio.gather(*visitors)
    late = samples[len(samples) // 2 :]
    for name in late[0][1]:
        slope, _ = statistics.linear_regression([at for at, _ in late], [sizes[name] for _, sizes in late])
        print(f"{name}: {slope * 60:+.2f} MB a minute over the second half")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    options = parser.parse_args()
    servers.start()
    try:
        with FakeOpenAI() as upstream:
            env = {"OPENAI_BASE_URL": upstream.url, "OPENAI_API_KEY": "k", "CHAT_MODELS": "a", "ASR_BACKENDS": ""}
            with run_stack(env=env) as stack:
                asyncio.run(soak(stack, options.seconds))
    finally:
        servers.stop()


if __name__ == "__main__":
    main()
