"""Processes that disagree about the time, by months (R18): what counts are PostgreSQL's and Redis's clocks."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
import uuid
from collections.abc import Generator
from typing import Any

import pytest

from tests.chaos.clocks import off_by
from tests.chaos.driving import answer, holder, poll, scene
from tests.client import Client, Session, session
from tests.fakes.openai_server import FakeOpenAI
from tests.fixtures.measurements import measured
from tests.fixtures.stacks import stack_with_model
from tests.stack import NotReadyError, Stack

LEASE = 3.0
SLOWLY = 15.0  # seconds beyond its lease until a lost run ends on a busy machine; a wrong clock makes it a month
MESSAGES = 12  # per hour, for the one who tries to say more
QUOTA = """
from accounts.models import User
from accounts.models.quotas import Quota
Quota.objects.create(user=User.objects.get(email="bob@example.org"), unit="messages", period="day", limit=3)
"""

pytestmark = pytest.mark.asyncio(loop_scope="function")


@pytest.fixture(scope="module")
def system() -> Generator[tuple[Stack, FakeOpenAI], None, None]:
    """One web process and one worker are a month ahead, the other worker is a month behind."""
    try:
        # The right one's, too: only processes that are not forked have production's password cost, and a log-in at a
        # process with another cost stores the password anew, which ends all sessions.
        env_of = {"web1": off_by(30), "web2": off_by(0), "worker1": off_by(30), "worker2": off_by(-30)}
    except LookupError as missing:
        pytest.skip(str(missing))
    env = {"RUN_LEASE_SECONDS": str(LEASE), "RATE_MESSAGES_PER_USER": f"{MESSAGES}/h"}
    with contextlib.ExitStack() as held:
        for left in (2, 1, 0):
            try:
                running = held.enter_context(stack_with_model(web=2, workers=2, env=env, env_of=env_of))
                break
            except NotReadyError as crash:  # the wheel's library is not made for threads, and fell over once
                if not left or f"ended with -{int(signal.SIGSEGV)}" not in str(crash):
                    raise
        yield running


async def test_r18_leases(system: tuple[Stack, FakeOpenAI]) -> None:
    """Nobody's run is taken while its worker lives, everybody's when it does not, and messages are in order."""
    stack, _ = system
    async with scene(stack, web=1) as here:
        client = await here.connect(at=stack.webs[0].url)
        other = await here.connect(at=stack.webs[1].url)
        runs = [await here.say(client, f"Hold {number} [[tokens=200 rate=40]]") for number in range(6)]
        for accepted in runs:
            await client.shows(accepted["run_id"], 20)
        assert len({holder(stack, accepted["run_id"]).name for accepted in runs}) == 2, "both workers have some"
        for accepted in runs:
            run = await client.ended(accepted["run_id"])
            assert (run["ended"], run["attempt"], run["text"]) == ("run.done", 1, answer(200))
        one = runs[0]["conversation_id"]
        await other.ask("subscribe", conversation_id=one)
        for number, sender in enumerate((other, client, other)):
            accepted = await here.say(sender, f"Then {number} [[tokens=2]]", one)
            await sender.ended(accepted["run_id"])
        rows = stack.sql("SELECT id::text, parent_id::text FROM chat_message WHERE conversation_id = %s"
                         " ORDER BY created_at", one)  # fmt: skip
        assert [row["parent_id"] for row in rows] == [None, *(row["id"] for row in rows[:-1])], "in the order of time"
        last = await here.say(client, "Last [[tokens=400 rate=40]]")
        await client.shows(last["run_id"], 20)
        victim = holder(stack, last["run_id"])
        victim.kill()
        killed = time.monotonic()
        run = await client.ended(last["run_id"])
        took = time.monotonic() - killed
        assert run["ended"] == "run.interrupted"
        measured("R18 a killed worker whose clock is a month off", round(took, 1))
        assert LEASE - 1.5 < took < LEASE + SLOWLY, "the lease ends when the database says so"
        await here.judge()
        [row] = stack.sql("SELECT min(queued_ms) AS least, max(queued_ms) AS most FROM chat_run")
        assert 0 <= row["least"] <= row["most"] < 60_000, "milliseconds, not a month"


async def test_r18_sessions_and_tickets(system: tuple[Stack, FakeOpenAI]) -> None:
    """Whoever logs in here is logged in there; a ticket of one opens a socket at the other; both end where they end."""
    stack, _ = system
    ahead, right = stack.webs
    async with (
        session(ahead.url, "mallory@example.org", fresh=True) as first,
        session(right.url, "mallory@example.org", fresh=True) as second,
    ):
        sockets = [await one.connect(at=web.url) for one in (first, second) for web in (ahead, right)]
        for one in (first, second):
            for web in (ahead, right):
                async with one.http.get(web.url + "/", allow_redirects=False) as page:
                    assert page.status == 200
        rows = stack.sql(
            "SELECT EXTRACT(EPOCH FROM expire_date - now())::float / 86400 AS days FROM accounts_session"
            " JOIN accounts_user u ON u.id = user_id WHERE u.email LIKE 'mallory%%'"
        )
        assert [round(row["days"], 1) for row in rows] == [14.0, 14.0]
        assert (await first.post("/accounts/logout/")).status == 302
        assert [await socket.closed() for socket in sockets[:2]] == [4401, 4401]
        assert [socket.close_code for socket in sockets[2:]] == [None, None]
        stack.sql("UPDATE accounts_session SET expire_date = now() - interval '1 second' WHERE user_id ="
                  " (SELECT id FROM accounts_user WHERE email LIKE 'mallory%%')")  # fmt: skip
        for web in (ahead, right):
            async with second.http.get(web.url + "/", allow_redirects=False) as page:
                assert page.status == 302, "over, also for who lives in another month"


async def test_r18_limits(system: tuple[Stack, FakeOpenAI]) -> None:
    """Rates, quotas and places for recordings are counted together, and say the same time to come back."""
    stack, _ = system
    await asyncio.to_thread(stack.manage, "shell", "--no-imports", "-c", QUOTA)
    async with session(stack.webs[1].url, "mallory@example.org") as mallory:
        assert await refusals(stack, mallory, MESSAGES, 3600 / MESSAGES) == ["rate_limited"] * 2
    async with session(stack.webs[1].url, "bob@example.org") as bob:
        [left] = stack.sql("SELECT EXTRACT(EPOCH FROM date_trunc('day', now(), 'UTC') + interval '1 day' - now()) AS s")
        assert await refusals(stack, bob, 3, float(left["s"])) == ["quota_exceeded"] * 2
        sockets = [await bob.connect(at=web.url) for web in reversed(stack.webs)]
        fields: dict[str, Any] = {
            "encoding": "pcm_s16le",
            "sample_rate": 16000,
            "mode": "push_to_talk",
            "auto_send": False,
        }
        begun = [await start_recording(one, fields) for one in sockets]
        assert begun[0]["type"] == "audio.started", begun
        assert begun[1].get("code") == "busy", "one at a time, wherever"
        assert (await sockets[0].ask("audio.cancel", recording_id=begun[0]["recording_id"]))["type"] == "ok"
        query = "SELECT EXTRACT(EPOCH FROM now() - created_at)::float AS age FROM chat_recording"
        # The first may have been refused for up to a minute, while the worker loaded its recogniser.
        assert all(0 <= row["age"] < 3600 for row in stack.sql(query)), "the ledger counts them in their own month"
        ended = lambda: not stack.sql("SELECT 1 FROM chat_recording WHERE finished_at IS NULL")  # noqa: E731
        await poll(ended, "end of recordings", 75)  # one that neither its worker nor its socket ended: within a minute


async def start_recording(client: Client, fields: dict[str, Any]) -> dict[str, Any]:
    """The reply of a worker whose recogniser is loaded."""
    async with asyncio.timeout(60):
        while True:
            reply = await client.ask("audio.start", conversation_id=None, client_id=str(uuid.uuid4()), **fields)
            if reply.get("code") != "asr_unavailable":
                return reply
            await asyncio.sleep(0.5)


async def send(client: Client, text: str) -> dict[str, Any]:
    """The reply to a message that is sent again while it is `unavailable`, as a page does: on a busy machine a command
    may take longer than its 5 s.
    """
    name = str(uuid.uuid4())
    async with asyncio.timeout(60):
        while (reply := await client.say(text, client_id=name)).get("code") == "unavailable":
            await asyncio.sleep(0.5)
    return reply


async def refusals(stack: Stack, person: Session, room: int, wait: float) -> list[str]:
    """Says as much as there is room for, at both web processes in turn, then more at each; how that is refused. Both
    must say that the way is free again `wait` seconds after the beginning.
    """
    began = time.monotonic()
    sockets = [await person.connect(at=web.url) for web in stack.webs]
    for number in range(room):
        accepted = await send(sockets[number % 2], f"Room {number} [[tokens=1]]")
        assert accepted["type"] == "message.accepted", accepted
    replies = [await send(socket, "More [[tokens=1]]") for socket in sockets]
    took = time.monotonic() - began
    await asyncio.gather(*(socket.close() for socket in sockets))
    for reply in replies:
        assert wait - took - 10 < reply["retry_after"] < wait + 10, (reply, wait, took)
    return [reply["code"] for reply in replies]
