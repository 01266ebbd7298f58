"""Conversations over real sockets: real Daphne, real Celery worker, scripted model server."""

from __future__ import annotations

import asyncio
import uuid

import pytest

from tests.client import FEATURES
from tests.client_view import View
from tests.fakes.asr_recognisers import POCKETSPHINX_INSTALLED
from tests.fakes.openai_server import FakeOpenAI
from tests.integration.chat.realtime.talking import finished, user
from tests.stack import Stack

pytestmark = pytest.mark.asyncio(loop_scope="function")


async def test_a_message_is_answered_event_by_event(stack: Stack) -> None:
    async with user(stack) as alice:
        client = await alice.connect()
        hello = client.frames[0]
        assert hello["protocol"] == "chat.v1"
        voice = ["voice"] if POCKETSPHINX_INSTALLED else []
        assert hello["features"] == [*FEATURES, *voice]
        assert [model["id"] for model in hello["models"]] == ["small", "large"]
        accepted = await client.say("Hello [[tokens=30 rate=200]]")
        run = await client.ended(accepted["run_id"])
        kinds = [frame["type"] for frame in client.frames if "seq" in frame]
        assert kinds[:4] == ["message.created", "message.created", "run.queued", "run.started"]
        assert set(kinds[4:-1]) == {"run.delta"}
        assert kinds[-1] == "run.done"
        assert run["text"] == "".join(f"tok{n} " for n in range(30))
        [row] = stack.sql("SELECT text, status, html FROM chat_message WHERE id = %s", run["message_id"])
        assert row["text"] == run["text"]
        assert row["status"] == "complete"
        assert row["html"] == run["final"]["html"] != ""
        assert run["final"]["usage"]["output_tokens"] == 30
        timing = run["final"]["timing"]
        assert 0 <= timing["queued_ms"] <= timing["first_token_ms"] <= timing["total_ms"]
        position = accepted["position"]
        assert position["seq"] == 0
        assert next(frame["seq"] for frame in client.frames if "seq" in frame) == 1
        await client.close()


async def test_the_same_client_id_is_one_message(stack: Stack) -> None:
    async with user(stack) as alice:
        client, other = await alice.connect(), await alice.connect(at=stack.webs[1].url)
        client_id = str(uuid.uuid4())
        first = await client.say("Once [[tokens=5]]", client_id=client_id)
        again = await other.say("Once [[tokens=5]]", client_id=client_id)
        assert (again["message_id"], again["run_id"]) == (first["message_id"], first["run_id"])
        assert (first["duplicate"], again["duplicate"]) == (False, True)
        run = await other.ended(first["run_id"])
        assert run["ended"] == "run.done", "whoever was told of the message follows it"
        conflict = await other.say("Something else", client_id=client_id)
        assert conflict["code"] == "conflict"
        await client.close()
        await other.close()


async def test_twenty_at_once_are_one_row(stack: Stack) -> None:
    async with user(stack) as alice:
        client = await alice.connect()
        client_id = str(uuid.uuid4())
        replies = await asyncio.gather(*(client.say("Race [[tokens=3]]", client_id=client_id) for _ in range(20)))
        assert len({reply["message_id"] for reply in replies}) == 1
        assert sum(not reply["duplicate"] for reply in replies) == 1
        [row] = stack.sql("SELECT count(*) AS n FROM chat_submission WHERE client_id = %s", client_id)
        assert row["n"] == 1
        await client.close()


async def test_a_second_message_while_an_answer_is_written_is_busy(stack: Stack) -> None:
    async with user(stack) as alice:
        client = await alice.connect()
        accepted = await client.say("Slow [[tokens=200 rate=50]]")
        conversation = accepted["conversation_id"]
        await client.next("run.delta")
        assert (await client.say("And?", conversation))["code"] == "busy"
        assert (await client.ask("run.stop", run_id=accepted["run_id"]))["type"] == "ok"
        assert (await client.ended(accepted["run_id"]))["ended"] == "run.stopped"
        await finished(client, "And? [[tokens=2]]", conversation)
        await client.close()


async def test_stop_closes_the_upstream_and_keeps_the_partial(stack: Stack, upstream: FakeOpenAI) -> None:
    async with user(stack) as alice:
        client, other = await alice.connect(), await alice.connect(at=stack.webs[1].url)
        upstream.reset()
        accepted = await client.say("Stop me [[tokens=1000 rate=50]]")
        await client.shows(accepted["run_id"], 50)
        for asker in (other, other):
            assert (await asker.ask("run.stop", run_id=accepted["run_id"]))["type"] == "ok"
        run = await client.ended(accepted["run_id"], seconds=3)
        assert run["ended"] == "run.stopped"
        assert len(run["endings"]) == 1
        assert await asyncio.to_thread(upstream.chats[-1].wait_ended, 1.0), "the upstream connection is closed"
        [row] = stack.sql("SELECT text, status FROM chat_message WHERE id = %s", run["message_id"])
        assert row == {"text": run["text"], "status": "stopped"}
        await client.close()
        await other.close()


async def test_regenerate_and_edit_make_siblings(stack: Stack) -> None:
    async with user(stack) as alice:
        client = await alice.connect()
        first = await finished(client, "Question [[tokens=4]]")
        view = client.views[first["conversation_id"]]
        answer = view.runs[first["run_id"]]["message_id"]
        again = await client.ask("message.regenerate", message_id=answer, client_id=str(uuid.uuid4()), model="large")
        assert again["type"] == "message.accepted", again
        await client.ended(again["run_id"])
        sibling = view.messages[again["message_id"]]
        assert sibling["role"] == "assistant"
        assert sibling["parent_id"] == first["message_id"]
        edited = await client.ask(
            "message.edit", message_id=first["message_id"], client_id=str(uuid.uuid4()), text="Better [[tokens=2]]"
        )
        await client.ended(edited["run_id"])
        assert view.messages[edited["message_id"]]["parent_id"] is None
        wrong = await client.ask("message.edit", message_id=answer, client_id=str(uuid.uuid4()), text="x")
        assert wrong["code"] == "invalid"
        await client.close()


async def test_any_server_resumes_mid_stream(stack: Stack) -> None:
    async with user(stack) as alice:
        views: dict[str, View] = {}
        client = await alice.connect(views=views)
        accepted = await client.say("Resume [[tokens=120 rate=60]]")
        conversation, run_id = accepted["conversation_id"], accepted["run_id"]
        for place in range(4):
            await client.shows(run_id, 40 * (place + 1))
            await client.drop()
            client = await alice.connect(views=views, at=stack.webs[place % 2].url)
            position = {"epoch": views[conversation].epoch, "seq": views[conversation].seq}
            reply = await client.ask("subscribe", conversation_id=conversation, position=position)
            assert reply["recovered"] is True
        latecomer = await alice.connect()
        reply = await latecomer.ask("subscribe", conversation_id=conversation)
        assert reply["recovered"] is False
        text = (await client.ended(run_id))["text"]
        assert text == "".join(f"tok{n} " for n in range(120))
        assert (await latecomer.ended(run_id))["text"] == text
        await client.close()
        await latecomer.close()


async def test_snapshots_mid_stream_are_exact(stack: Stack) -> None:
    async with user(stack) as alice:
        client = await alice.connect()
        accepted = await client.say("Snapshots [[tokens=300 rate=120]]")
        await client.next("run.delta")
        late = []
        for _ in range(12):
            other = await alice.connect()
            await other.ask("subscribe", conversation_id=accepted["conversation_id"])
            late.append(other)
            await asyncio.sleep(0.12)
        await client.ended(accepted["run_id"])
        for other in late:
            run = await other.ended(accepted["run_id"])
            assert run["text"] == "".join(f"tok{n} " for n in range(300))
            assert other.views[accepted["conversation_id"]].resets == 0
            await other.close()
        await client.close()


async def test_a_conversation_in_two_tabs_is_level(stack: Stack) -> None:
    async with user(stack) as alice:
        one, two = await alice.connect(), await alice.connect(at=stack.webs[1].url)
        accepted = await finished(one, "First [[tokens=3]]")
        listed = await two.next("conversation.listed", conversation_id=accepted["conversation_id"])
        assert listed["title"].startswith("First")
        await two.ask("subscribe", conversation_id=accepted["conversation_id"])
        again = await finished(two, "Second [[tokens=20 rate=100]]", accepted["conversation_id"])
        await one.ended(again["run_id"])
        assert one.views[accepted["conversation_id"]].text(again["run_id"]) == two.views[
            accepted["conversation_id"]
        ].text(again["run_id"])
        await one.close()
        await two.close()


async def test_a_failing_upstream_ends_the_run_with_its_reason(stack: Stack) -> None:
    async with user(stack) as alice:
        client = await alice.connect()
        for script, code in (("status=401", "upstream_unauthorized"), ("tokens=50 cut=20", "upstream_cut")):
            accepted = await client.say(f"Fail [[{script}]]")
            run = await client.ended(accepted["run_id"])
            assert run["ended"] == "run.failed"
            assert run["final"]["code"] == code
            assert run["final"]["retryable"] is True
        assert run["text"] == "".join(f"tok{n} " for n in range(20)), "the partial text is kept"
        await client.close()
