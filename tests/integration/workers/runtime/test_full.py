"""A worker that has as many answers as it takes: who waits is told, and a user with many answers holds up nobody."""

from __future__ import annotations

from tests.fakes.openai_server import FakeOpenAI
from tests.integration.chat.realtime.talking import user
from tests.stack import Stack

SYSTEM = {"web": 1, "workers": 1, "env": {"WORKER_STREAMS": "1"}}
IN_ORDER = "SELECT id::text AS run_id FROM chat_run WHERE id::text = ANY(%s) ORDER BY started_at"


async def test_a_full_worker_goes_on_with_whose_turn_it_is(system: tuple[Stack, FakeOpenAI]) -> None:
    stack, _ = system
    async with user(stack) as alice, user(stack, "bob") as bob:
        hers, his = await alice.connect(short=True), await bob.connect()
        long = await hers.say("Long [[tokens=4000 rate=40]]")
        await hers.shows(long["run_id"], 20)
        waiting = [await hers.say(f"Next {number} [[tokens=2]]") for number in range(3)]
        late = await his.say("From Bob [[tokens=2]]")
        for before, accepted in enumerate([late, *waiting]):
            client = his if accepted is late else hers
            await client.next("run.position", run_id=accepted["run_id"], before=before)
        assert hers.short.expanded > 5
        await hers.ask("run.stop", run_id=long["run_id"])
        for accepted in waiting:
            assert (await hers.ended(accepted["run_id"]))["ended"] == "run.done"
        assert (await his.ended(late["run_id"]))["ended"] == "run.done"
        expected = [one["run_id"] for one in (long, late, *waiting)]
        assert [row["run_id"] for row in stack.sql(IN_ORDER, expected)] == expected


async def test_an_answer_that_somebody_looks_at_goes_before_one_that_nobody_does(
    system: tuple[Stack, FakeOpenAI],
) -> None:
    stack, _ = system
    async with user(stack) as alice, user(stack, "bob") as bob:
        hers, his = await alice.connect(), await bob.connect()
        long = await hers.say("Long [[tokens=4000 rate=40]]")
        await hers.shows(long["run_id"], 20)
        left = await his.say("From Bob [[tokens=2]]")
        later = await hers.say("Next [[tokens=2]]")
        await hers.next("run.position", run_id=later["run_id"], before=1)
        await his.close()
        await hers.next("run.position", run_id=later["run_id"], before=0)
        await hers.ask("run.stop", run_id=long["run_id"])
        assert (await hers.ended(later["run_id"]))["ended"] == "run.done"
        his = await bob.connect(views=his.views)
        await his.send("subscribe", conversation_id=left["conversation_id"])
        assert (await his.ended(left["run_id"]))["ended"] == "run.done", "it has its turn all the same"
        expected = [one["run_id"] for one in (long, later, left)]
        assert [row["run_id"] for row in stack.sql(IN_ORDER, expected)] == expected
