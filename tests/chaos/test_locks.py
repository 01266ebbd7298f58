"""Rows and tables that another session has locked for long, while answers are written (R21)."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import time
import uuid
from collections.abc import Generator
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.chaos.driving import answer, poll, scene
from tests.client import Client
from tests.fakes.openai_server import FakeOpenAI
from tests.fixtures.measurements import measured
from tests.stack import Stack

pytestmark = pytest.mark.asyncio(loop_scope="function")

LEASE = 4.0
SYSTEM = {"web": 1, "workers": 2, "env": {"RUN_LEASE_SECONDS": str(LEASE)}}
TABLE_SECONDS = 20.0  # a table is locked for
ROW_SECONDS = 10.0  # a row; longer than two leases
ANSWER_SECONDS = 6.0  # within which a command is answered, whatever is locked


@contextlib.contextmanager
def lock(stack: Stack, statement: str, *args: Any) -> Generator[None, None, None]:
    """A transaction of somebody else's, which has done this and does not end."""
    with psycopg.connect(stack.env["DATABASE_URL"]) as connection:
        connection.execute(statement, args)
        yield
        connection.rollback()


def readiness(stack: Stack) -> tuple[int, str]:
    """The status and body of /readyz."""
    connection = http.client.HTTPConnection(urlsplit(stack.url).netloc, timeout=10)
    try:
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


async def send(client: Client, text: str) -> tuple[dict[str, Any], float]:
    """Sends a message until it is accepted, as the page does; the reply, and the longest wait for one, in seconds."""
    client_id, longest = str(uuid.uuid4()), 0.0
    while True:
        began = time.monotonic()
        reply = await client.say(text, client_id=client_id)
        longest = max(longest, time.monotonic() - began)
        if reply["type"] == "message.accepted":
            return reply, longest
        assert reply["code"] == "unavailable", reply
        await asyncio.sleep(0.3)


@pytest.mark.parametrize(
    "table",
    ["chat_message", pytest.param("chat_run", marks=pytest.mark.long),
     pytest.param("chat_conversation", marks=pytest.mark.long)],
)  # fmt: skip
async def test_r21_a_locked_table(system: tuple[Stack, FakeOpenAI], table: str) -> None:
    """As by ALTER TABLE, for 20 s: answers are shown on, commands are answered, and afterwards everything is there."""
    stack, _ = system
    async with scene(stack) as here:
        client, sender = await here.connect(), await here.connect()
        long = [await here.say(client, f"Long {n} [[tokens=500 rate=20]]") for n in range(6)]
        short = [await here.say(client, f"Short {n} [[tokens=100 rate=20]]") for n in range(4)]  # end meanwhile
        for accepted in [*long, *short]:
            await client.shows(accepted["run_id"], 20)
        with lock(stack, f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"):
            locked = time.monotonic()
            sending = [asyncio.create_task(send(sender, f"Meanwhile {n} [[tokens=5]]")) for n in range(3)]
            for accepted in short:
                await client.shows(accepted["run_id"], len(answer(100)))
            status, said = await asyncio.to_thread(readiness, stack)
            assert status == 503
            assert '"degraded"' in said
            shown = [len(client.shown(accepted["run_id"])) for accepted in long]
            await asyncio.sleep(max(0.0, TABLE_SECONDS - (time.monotonic() - locked)))
            for accepted, before in zip(long, shown, strict=True):
                await client.shows(accepted["run_id"], before + 20)  # it went on
        free = time.monotonic()
        sent = await asyncio.gather(*sending)
        assert max(longest for _, longest in sent) < ANSWER_SECONDS, "nobody waits for ever"
        measured(f"R21 {table} is free: messages sent meanwhile are accepted", round(time.monotonic() - free, 1))
        for accepted, _ in sent:
            assert (await sender.ended(accepted["run_id"]))["ended"] == "run.done"
        ended = [await client.ended(accepted["run_id"], seconds=40) for accepted in [*long, *short]]
        assert {run["ended"] for run in ended} <= {"run.done", "run.interrupted"}
        measured(f"R21 {table} is free: answers that were completed", sum(run["ended"] == "run.done" for run in ended))
        await poll(lambda: stack.webs[0].status() == 200, "200 from /readyz")
        await here.judge()  # no text is shorter than what was shown, nothing is open, nothing reserved


@pytest.mark.parametrize("table", ["chat_run", "chat_message"])
async def test_r21_a_locked_row(system: tuple[Stack, FakeOpenAI], table: str) -> None:
    """One answer's row, for longer than its lease: the others of the same worker are completed."""
    stack, _ = system
    async with scene(stack) as here:
        client = await here.connect()
        runs = [await here.say(client, f"Row {n} [[tokens=300 rate=25]]") for n in range(10)]
        for accepted in runs:
            await client.shows(accepted["run_id"], 20)
        column = "id" if table == "chat_run" else "message_id"
        [row] = stack.sql(f"SELECT {column} AS id FROM chat_run WHERE id = %s", runs[0]["run_id"])  # noqa: S608 -- ours
        with lock(stack, f"SELECT FROM {table} WHERE id = %s FOR UPDATE", row["id"]):
            locked = time.monotonic()
            new, longest = await send(client, "Meanwhile [[tokens=5]]")
            assert longest < ANSWER_SECONDS
            assert (await client.ended(new["run_id"]))["ended"] == "run.done"
            await asyncio.sleep(max(0.0, ROW_SECONDS - (time.monotonic() - locked)))
            for accepted in runs[1:]:
                run = await client.ended(accepted["run_id"], 40)
                assert (run["ended"], run["attempt"], run["text"]) == ("run.done", 1, answer(300))
        free = time.monotonic()
        run = await client.ended(runs[0]["run_id"], 40)
        assert (run["ended"], run["text"]) == ("run.done", answer(300)), "its own worker lives, and ends it"
        measured(f"R21 a row of {table} is free: its answer is ended", round(time.monotonic() - free, 1))
        await here.judge()
