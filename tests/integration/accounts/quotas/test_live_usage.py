"""Usage and quotas over a real socket."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.client import session
from tests.fakes.openai_server import FakeOpenAI
from tests.stack import Stack

SYSTEM = {"web": 1, "workers": 1, "env": {"CHAT_MODELS": "small"}}


@pytest.mark.asyncio(loop_scope="function")
async def test_what_is_left_is_told_live_and_then_refused(system: tuple[Stack, FakeOpenAI]) -> None:
    stack, _ = system
    stack.manage("quota", "set", "--user=alice@example.org", "--unit=messages", "--period=day", "2")
    stack.sql(
        "INSERT INTO accounts_price (endpoint, model, valid_from, input_per_million, output_per_million,"
        " audio_per_minute) VALUES ('127.0.0.1', 'small', now(), 1, 2, 0)"
    )
    async with session(stack.url, "alice@example.org") as alice:
        client, other = await alice.connect(), await alice.connect()
        run = await client.ended((await client.say("One [[tokens=30]]"))["run_id"])
        used = run["final"]["usage"]
        assert Decimal(used["cost"]) == (used["input_tokens"] + 2 * Decimal(used["output_tokens"])) / 1_000_000
        await client.ended((await client.say("Two [[tokens=3]]"))["run_id"])
        [told] = (await other.next("quota"))["quotas"]
        assert {name: told[name] for name in ("unit", "period", "limit", "used", "left", "hard", "near")} == {
            "unit": "messages", "period": "day", "limit": 2, "used": 2, "left": 0, "hard": True, "near": True,
        }  # fmt: skip
        refused = await client.say("Three [[tokens=3]]")
        assert refused["code"] == "quota_exceeded"
        assert 0 < refused["retry_after"] <= 86_400
        assert "2 messages" in refused["message"]
        stack.manage("quota", "reset", "alice@example.org")
        await client.ended((await client.say("Three [[tokens=3]]"))["run_id"])
        for one in (client, other):
            await one.close()
    [row] = stack.sql("SELECT endpoint, count(*) AS n, bool_and(cost > 0) AS paid FROM accounts_usageentry GROUP BY 1")
    assert row["endpoint"].startswith("127.0.0.1:")
    assert row == {"endpoint": row["endpoint"], "n": 3, "paid": True}


@pytest.mark.asyncio(loop_scope="function")
async def test_a_killed_worker_holds_nothing_for_a_minute(system: tuple[Stack, FakeOpenAI]) -> None:
    stack, _ = system
    stack.manage("quota", "set", "--user=bob@example.org", "--unit=messages", "--period=day", "5")
    stack.manage("quota", "set", "--user=bob@example.org", "--unit=output_tokens", "--period=day", "100000")
    async with session(stack.url, "bob@example.org") as bob:
        client = await bob.connect()
        accepted = await client.say("Long [[tokens=2000 rate=20]]")
        await client.shows(accepted["run_id"], 50)
        held = "SELECT amount FROM accounts_reservation WHERE run_id = %s ORDER BY amount"
        assert [row["amount"] for row in stack.sql(held, accepted["run_id"])] == [1, 1000]
        stack.workers[0].kill()
        run = await client.ended(accepted["run_id"], seconds=50)
        assert run["ended"] == "run.interrupted"
        assert stack.sql(held, accepted["run_id"]) == []
        [entry] = stack.sql("SELECT * FROM accounts_usageentry WHERE run_id = %s", accepted["run_id"])
        assert (entry["messages"], entry["estimated"]) == (1, True)
        assert entry["output_tokens"] == -(-len(run["text"]) // 4)
        await client.close()
    checked = stack.manage("shell", "--no-imports", "-c", "from chat.recovery.ledger import *; print(check_ledger())")
    assert checked.strip() == "[]"
    stack.workers[0].restart()
