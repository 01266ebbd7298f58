"""People chat for minutes while two judges fail at random: every answer ends, and once the judges are back, nothing
that they would have withheld is left anywhere but in its case.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import redis

from tests.chaos.driving import poll
from tests.client import Client, session
from tests.client_view import View
from tests.fakes.asr_recognisers import run_in_thread
from tests.fakes.judge_server import JudgeServer
from tests.fakes.openai_server import FakeOpenAI
from tests.fixtures.measurements import measured
from tests.fixtures.redis_contents import redis_contents
from tests.stack import Stack

SECONDS = 300 if os.environ.get("CHAOS_LONG") else 20
DRAIN_SECONDS = 120  # at most, until what was let through is judged
pytestmark = [pytest.mark.asyncio(loop_scope="function"), pytest.mark.timeout(SECONDS + DRAIN_SECONDS + 180)]

SYSTEM = {"web": 1, "workers": 2}
PEOPLE = 6
FAULTS = 0.3
ASKED, ANSWERED = "walrus", "tok12"  # what judges withhold; the second is in answers of more than twelve tokens
ENDS = {("done", ""), ("stopped", "moderated"), ("failed", "moderation_unavailable")}
CREATE = """
import json
from workers.models import Endpoint, Judge, JudgedCategory
for name, url, kind, mode, directions, away in json.loads({judges!r}):
    endpoint = Endpoint.objects.create(name=name, base_url=url, use="standby")
    judge = Judge.objects.create(
        name=name, endpoint=endpoint, model="m", backend=kind, mode=mode, directions=directions, enabled=True,
        timeout=1.5, behind_timeout=3.0,
    )
    JudgedCategory.objects.create(judge=judge, category="hate", threshold=0.5, action="block", when_away=away)
"""
# Where a text can be read: everything but the cases.
PLACES = """
SELECT (SELECT count(*) FROM chat_message WHERE text ~ %s OR html ~ %s)
     + (SELECT count(*) FROM chat_conversation WHERE title ~ %s)
     + (SELECT count(*) FROM chat_run WHERE chat_run::text ~ %s) AS found
"""


@pytest.fixture
def judges(system: tuple[Stack, FakeOpenAI]) -> Iterator[list[JudgeServer]]:
    with ExitStack() as opened:
        made: list[Any] = [
            opened.enter_context(run_in_thread(one)) for one in (JudgeServer, lambda: JudgeServer(guard=True))
        ]
        for server in made:
            server.scores_of = lambda text: {"hate": 0.9} if ASKED in text or ANSWERED in text else {}
        judges = [
            ("Moderation", made[0].url, "openai", "before", ["asked", "answered"], "open"),
            ("Guard", made[1].url, "guard", "parallel", ["asked", "answered"], "closed"),
        ]
        system[0].manage("shell", "--no-imports", "-c", CREATE.format(judges=json.dumps(judges)))
        for worker in system[0].workers:
            worker.await_output("judges_changed")
        yield made


class JudgedViews(dict[str, View]):
    def setdefault(self, key: str, default: View | None = None) -> View:
        view = super().setdefault(key, default or View())
        view.judged = True
        return view


async def chat(client: Client, chosen: random.Random, until: float, waits: list[float]) -> None:
    """One person, who asks one thing after another; some of it is to be withheld, in questions or in answers. `waits`
    gets the seconds from each message to the end of its answer.
    """
    conversation = None
    while time.monotonic() < until:
        about = ASKED if chosen.random() < 0.2 else "trains"
        tokens = 20 if chosen.random() < 0.2 else 8
        began = time.monotonic()
        accepted = await client.say(f"Tell me about {about} [[tokens={tokens} rate=20]]", conversation)
        assert accepted["type"] == "message.accepted", accepted
        await ended(client, accepted)
        waits.append(time.monotonic() - began)
        conversation = accepted["conversation_id"]
        if chosen.random() < 0.3:
            await client.ask("unsubscribe", conversation_id=conversation)
            conversation = None


async def ended(client: Client, accepted: dict[str, Any]) -> None:
    """Waits for the end of an answer. A log that begins anew again and again cannot always be read: a page subscribes
    again then, and so does this.
    """
    one = accepted["conversation_id"]
    for _ in range(12):
        try:
            await client.ended(accepted["run_id"], 5)
        except TimeoutError:
            if one not in client.following:
                await client.ask("subscribe", conversation_id=one)
        else:
            return
    since = client.frames.index(accepted)
    kept = (frame for frame in client.frames[since:] if frame.get("conversation_id") == one or frame["type"] == "error")
    raise TimeoutError(f"no end of {accepted['run_id']}:\n" + "\n".join(repr(frame)[:300] for frame in kept))


async def test_a_soak_with_judges_that_fail_at_random(
    system: tuple[Stack, FakeOpenAI], judges: list[JudgeServer]
) -> None:
    stack, _ = system
    waits: list[float] = []
    chosen = random.Random(14)
    async with session(stack.url) as alice:
        clients = [await alice.connect(views=JudgedViews()) for _ in range(PEOPLE)]
        for number, server in enumerate(judges):
            server.misbehaves_now_and_then(FAULTS, seed=number)
        until = time.monotonic() + SECONDS
        await asyncio.gather(*(chat(client, random.Random(chosen.random()), until, waits) for client in clients))
        asked = sum(len(server.texts) for server in judges)
        for server in judges:
            server.misbehaves(None)
        waiting = stack.sql("SELECT count(*) AS n FROM chat_unjudged")[0]["n"]
        began = time.monotonic()
        await poll(lambda: is_judged(stack), "verdict on what was let through", DRAIN_SECONDS)
        waited = time.monotonic() - began
        for client in clients:
            await client.close()
    ends = Counter((row["status"], row["error_code"]) for row in stack.sql("SELECT status, error_code FROM chat_run"))
    said = {f"{status} {code}".strip(): number for (status, code), number in ends.items()}
    measured(f"soak of judges, {SECONDS:.0f} s: {len(waits)} answers, {asked} questions to judges", said)
    parts = statistics.quantiles(waits, n=20)
    measured("soak of judges: an answer took, p50 and p95", (round(parts[9], 2), round(parts[18], 2)))
    measured(f"soak of judges: {waiting} texts waited for a judge; all judged after", round(waited, 1))
    # An answer whose question was judged late is stopped without a code: the question says why.
    assert set(ends) - {("stopped", "")} == ENDS, "answers came, were withheld, were refused; nothing else happened"
    check(stack)


def is_judged(stack: Stack) -> bool:
    """Whether nothing waits for a judge, nor for its readers to get what is left of it. What waits is judged at once: a
    text that a judge has failed for waits a minute otherwise.
    """
    if stack.sql("UPDATE chat_unjudged SET next_try_at = least(next_try_at, now()) RETURNING message_id"):
        time.sleep(1)
        return False
    return not stack.sql("SELECT 1 FROM chat_rewritten LIMIT 1")


def check(stack: Stack) -> None:
    assert stack.sql("SELECT 1 FROM chat_run WHERE finished_at IS NULL OR lease_expires_at > now()") == []
    assert stack.sql("SELECT 1 FROM chat_moderationcase GROUP BY target_id HAVING count(*) > 1") == [], (
        "one case a text"
    )
    cases = " ".join(row["original"] for row in stack.sql("SELECT original FROM chat_moderationcase"))
    with redis.Redis.from_url(stack.env["REDIS_URL"]) as contents:
        kept = redis_contents(contents)
    for word in (ASKED, ANSWERED):
        assert word in cases
        assert stack.sql(PLACES, *[word] * 4) == [{"found": 0}], word
        assert word not in kept, word
