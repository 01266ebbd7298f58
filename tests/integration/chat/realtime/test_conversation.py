"""Conversations over real sockets: real Daphne, real Celery worker, scripted model server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
import uuid
from typing import Any

import pytest
import redis

from tests.client import Client, View, session
from tests.fakes.asr_recognisers import POCKETSPHINX_INSTALLED
from tests.fakes.openai_server import FakeOpenAI
from tests.stack import Stack

pytestmark = pytest.mark.asyncio(loop_scope="function")


@contextlib.asynccontextmanager
async def user(stack: Stack, name: str = "alice", *, fresh: bool = False) -> Any:
    async with session(stack.url, f"{name}@example.org", fresh=fresh) as logged_in:
        yield logged_in


async def finished(client: Client, prompt: str, conversation: str | None = None) -> dict[str, Any]:
    """Sends and waits for the answer; the accepted frame."""
    accepted = await client.say(prompt, conversation)
    assert accepted["type"] == "message.accepted", accepted
    await client.ended(accepted["run_id"])
    return accepted


async def test_a_message_is_answered_event_by_event(stack: Stack) -> None:
    async with user(stack) as alice:
        client = await alice.connect()
        hello = client.frames[0]
        assert hello["protocol"] == "chat.v1"
        voice = ["voice"] if POCKETSPHINX_INSTALLED else []
        assert hello["features"] == ["reasoning", "compare", "members", "seen", *voice]
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


async def test_what_belongs_to_others_is_not_found(stack: Stack) -> None:
    async with user(stack) as alice, user(stack, "mallory") as mallory:
        client, outsider = await alice.connect(), await mallory.connect()
        accepted = await finished(client, "Secret [[tokens=3]]")
        conversation = accepted["conversation_id"]
        answer = client.views[conversation].runs[accepted["run_id"]]["message_id"]

        def fresh() -> str:
            return str(uuid.uuid4())

        replies = [
            await outsider.ask("subscribe", conversation_id=conversation),
            await outsider.ask("subscribe", conversation_id=fresh()),
            await outsider.say("Hi", conversation),
            await outsider.ask("message.edit", message_id=accepted["message_id"], client_id=fresh(), text="x"),
            await outsider.ask("message.regenerate", message_id=answer, client_id=fresh()),
            await outsider.ask("run.stop", run_id=accepted["run_id"]),
            await outsider.ask("typing", conversation_id=conversation),
            await outsider.say("Hi", None, parent_id=answer),
        ]
        assert [reply.get("code") for reply in replies] == ["not_found"] * 7 + ["invalid"]
        assert not outsider.views
        await client.close()
        await outsider.close()


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("nonsense", "invalid"),
        ("[" * 10_000, "invalid"),
        ('{"a":' * 10_000, "invalid"),
        ('{"type":"dance"}', "unknown_command"),
        ('{"type":"ping","extra":1}', "invalid"),
        ('{"type":"subscribe","conversation_id":"7"}', "invalid"),
        (json.dumps({"type": "ping", "ref": "x" * 310_000}), "too_large"),
        (b"\x00\x01binary", "invalid"),
    ],
)
async def test_bad_frames_are_named_and_the_socket_lives(stack: Stack, frame: str | bytes, code: str) -> None:
    async with user(stack) as alice:
        client = await alice.connect()
        await (client.ws.send_bytes(frame) if isinstance(frame, bytes) else client.ws.send_str(frame))
        assert (await client.next("error"))["code"] == code
        assert (await client.ask("ping"))["type"] == "pong"
        await client.close()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "invalid"),
        (" \n ", "invalid"),
        ("\x00\x01", "invalid"),
        ("long" * 12_500, "too_large"),
        ("é" * 24_577, "too_large"),
    ],
)
async def test_bad_texts_are_named(stack: Stack, text: str, code: str) -> None:
    async with user(stack) as alice:
        client = await alice.connect()
        body = {
            "type": "message.send",
            "ref": "r",
            "conversation_id": None,
            "client_id": str(uuid.uuid4()),
            "text": text,
        }
        await client.ws.send_str(json.dumps(body))
        assert (await client.next("error"))["code"] == code
        assert (await client.ask("ping"))["type"] == "pong"
        await client.close()


@pytest.mark.parametrize("text", ['"1",' * 12_000, "\x0c" * 40_000 + "x", "half \ud800 a pair"])
async def test_what_the_composer_permits_is_accepted(stack: Stack, text: str) -> None:
    """However long its frame becomes: quotes double, control characters take six bytes each."""
    async with user(stack) as alice:
        client = await alice.connect()
        body = {"type": "message.send", "conversation_id": None, "client_id": str(uuid.uuid4()), "text": text}
        await client.ws.send_str(json.dumps(body))
        accepted = await client.next("message.accepted")
        await client.ended(accepted["run_id"])
        stored = stack.sql("SELECT text FROM chat_message WHERE id = %s", accepted["message_id"])
        assert stored[0]["text"] == text.replace("\x0c", "").replace("\ud800", "\ufffd")
        await client.close()


async def test_a_refusal_names_the_message_it_refuses(stack: Stack) -> None:
    async with user(stack) as alice:
        client = await alice.connect()
        body = {"type": "message.send", "conversation_id": None, "client_id": str(uuid.uuid4()), "text": "x" * 400_000}
        await client.ws.send_str(json.dumps(body))
        refused = await client.next("error")
        assert (refused["code"], refused["client_id"]) == ("too_large", body["client_id"])
        await client.close()


async def test_a_handshake_succeeds_while_another_tab_is_busy(stack: Stack) -> None:
    async with user(stack, fresh=True) as alice:
        busy = await alice.connect()
        sending = [asyncio.create_task(busy.say(f"Conversation {number} [[tokens=1]]")) for number in range(60)]
        for _ in range(12):
            tab = await alice.connect()
            assert tab.frames[0]["type"] == "hello"
            await tab.close()
        await asyncio.gather(*sending)
        await busy.close()


async def test_a_model_that_is_not_offered(stack: Stack) -> None:
    async with user(stack) as alice:
        client = await alice.connect()
        assert (await client.say("Hi", model="huge"))["code"] == "invalid"
        await client.close()


async def test_a_preset_of_another_user_is_neither_offered_nor_accepted(stack: Stack) -> None:
    [bob] = stack.sql("SELECT id FROM accounts_user WHERE email = 'bob@example.org'")
    preset = str(uuid.uuid4())
    stack.sql(
        "INSERT INTO chat_preset (id, owner_id, name, description, system_prompt, model, enabled, position)"
        " VALUES (%s, %s, 'Private', '', 'Secret', '', true, 10)",
        preset, bob["id"],
    )  # fmt: skip
    async with user(stack) as alice:
        client = await alice.connect()
        assert preset not in json.dumps(client.frames[0])
        refused = await client.say("Hi", preset_id=preset)
        assert (refused["code"], refused["message"]) == (
            "invalid", "This preset is no longer available. Choose another preset or a model.",
        )  # fmt: skip
    async with user(stack, "bob") as owner:
        client = await owner.connect()
        offered = {one["id"]: one for one in client.frames[0]["presets"]}
        assert offered[preset] == {"id": preset, "name": "Private", "description": "", "model": "", "own": True}
        accepted = await client.say("Hi [[tokens=2]]", preset_id=preset)
        await client.ended(accepted["run_id"])
    stack.sql("UPDATE chat_conversation SET preset_id = NULL")
    stack.sql("DELETE FROM chat_preset")


async def test_ten_malformed_frames_close_4400(stack: Stack) -> None:
    async with user(stack) as alice:
        client = await alice.connect()
        for _ in range(10):
            await client.ws.send_str("{")
        assert await client.closed() == 4400
        assert sum(frame["type"] == "error" for frame in client.frames) == 10


async def test_logging_out_closes_this_session_on_every_server(stack: Stack) -> None:
    async with user(stack, fresh=True) as alice, user(stack) as elsewhere:
        sockets = [await alice.connect(at=web.url) for web in stack.webs]
        other = await elsewhere.connect()
        answer = await alice.post("/accounts/logout/")
        assert answer.status == 302
        assert [await socket.closed(2) for socket in sockets] == [4401, 4401]
        assert (await other.ask("ping"))["type"] == "pong"
        await other.close()


async def test_being_deactivated_closes_all_sockets(stack: Stack) -> None:
    email = await asyncio.to_thread(stack.add_user, "Dora")
    async with session(stack.url, email, fresh=True) as dora, session(stack.url, email, fresh=True) as elsewhere:
        sockets = [await dora.connect(), await elsewhere.connect(at=stack.webs[1].url)]
        deactivate = (
            f"from accounts.models import User; user = User.objects.get(email={email!r}); "
            "user.is_active = False; user.save()"
        )
        await asyncio.to_thread(stack.manage, "shell", "--no-imports", "-c", deactivate)
        assert [await socket.closed(2) for socket in sockets] == [4401, 4401]


@pytest.mark.parametrize("told", [True, False])
async def test_who_is_no_member_any_more_sees_nothing_more(stack: Stack, told: bool) -> None:
    """Also when nobody says so: sockets look for themselves after they were cut off from Redis."""
    bobs = "Member.objects.{}(conversation_id={!r}, user=User.objects.get(email='bob@example.org'){})"

    async def administer(deed: str) -> None:
        script = f"from accounts.models import User; from chat.models import Member; {deed}"
        await asyncio.to_thread(stack.manage, "shell", "--no-imports", "-c", script)

    async with user(stack) as alice, user(stack, "bob") as bob:
        client = await alice.connect()
        shared = (await finished(client, "Shared [[tokens=2]]"))["conversation_id"]
        await administer(bobs.format("create", shared, ", role='editor'"))
        here, there = await bob.connect(), await bob.connect(at=stack.webs[1].url)
        await finished(there, "My own [[tokens=2]]")
        for socket in (here, there):
            assert (await socket.ask("subscribe", conversation_id=shared))["type"] == "subscribed"
        accepted = await client.say("Long [[tokens=600 rate=80]]", shared)
        await here.shows(accepted["run_id"], 20)
        if told:
            await administer(bobs.format("get", shared, "") + ".delete()")
        else:
            stack.sql("DELETE FROM chat_member WHERE conversation_id = %s AND role = 'editor'", shared)
            redis.Redis.from_url(stack.redis.url).client_kill_filter(_type="pubsub")
        assert await here.closed(4) == 4403, "it had nothing else open"
        refused = await there.say("May I?", shared)
        assert refused["code"] == "not_found"
        last = 0
        async with asyncio.timeout(20):  # the other process hears of it, or looks for itself, in its own time
            while last != (last := len(there.frames)):
                await client.shows(accepted["run_id"], len(client.shown(accepted["run_id"])) + 200)
        await client.shows(accepted["run_id"], len(client.shown(accepted["run_id"])) + 300)
        assert not [frame for frame in there.frames[last:] if frame.get("conversation_id") == shared]
        await client.ask("run.stop", run_id=accepted["run_id"])
        await client.ended(accepted["run_id"])
        await asyncio.gather(client.close(), there.close())


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


async def test_a_client_that_does_not_pong_is_closed_4002(upstream: FakeOpenAI, monkeypatch: Any) -> None:
    """In process, with the clock of the tick: the real wait is half a minute."""
    import time

    from chat.realtime.connection import Connection

    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    socket = Connection(send, uuid.uuid4(), "s")
    socket.begin("{}")
    now = time.monotonic()
    socket.tick(now + 26)
    socket.pong()
    socket.tick(now + 45)
    socket.tick(now + 52)
    await asyncio.sleep(0)
    assert sum('"ping"' in message.get("text", "") for message in sent) == 2
    socket.tick(now + 62.1)
    await asyncio.sleep(0)
    assert sent[-1] == {"type": "websocket.close", "code": 4002}


async def test_who_acknowledges_nothing_is_closed_4001_and_resumes(stack: Stack) -> None:
    async with user(stack) as alice:
        views: dict[str, View] = {}
        client = await alice.connect(at=stack.webs[1].url, views=views, ack=False)  # it closes slow ones after 2 s
        accepted = await client.say("Much [[tokens=400 size=2000 rate=200]]")
        one, run_id = accepted["conversation_id"], accepted["run_id"]
        await client.shows(run_id, 200_000)
        full = time.monotonic()
        assert (await client.ask("ping"))["type"] == "pong", "it is not deaf, only slow"
        assert await client.closed(8) == 4001
        assert time.monotonic() - full > 1
        assert len(client.shown(run_id)) < 800_000, "the window is 256 KiB"
        again = await alice.connect(views=views)
        position = {"epoch": views[one].epoch, "seq": views[one].seq}
        assert (await again.ask("subscribe", conversation_id=one, position=position))["recovered"] is True
        assert len((await again.ended(run_id))["text"]) == 800_000
        await again.close()


async def test_members_see_each_other_come_and_go(stack: Stack) -> None:
    async with user(stack) as alice, user(stack, "bob") as bob:
        client = await alice.connect()
        accepted = await finished(client, "Together [[tokens=3]]")
        conversation = accepted["conversation_id"]
        stack.sql(
            "INSERT INTO chat_member (conversation_id, user_id, role, joined_at) "
            "SELECT %s, id, 'editor', now() FROM accounts_user WHERE email = 'bob@example.org'",
            conversation,
        )
        await client.ask("subscribe", conversation_id=conversation)
        other = await bob.connect(at=stack.webs[1].url)
        await other.ask("subscribe", conversation_id=conversation)

        def names(frame: dict[str, Any]) -> list[str]:
            return sorted(person["name"] for person in frame["users"])

        def both() -> bool:
            return any(frame["type"] == "presence" and names(frame) == ["Alice", "Bob"] for frame in client.frames)

        await client.until(both, "Alice and Bob")
        await other.send("typing", conversation_id=conversation)
        typing = await client.next("typing")
        assert typing["user"]["name"] == "Bob"
        reply = await other.say("Hello from Bob [[tokens=2]]", conversation)
        assert (await client.ended(reply["run_id"]))["ended"] == "run.done"
        await other.close()
        await client.until(lambda: names([f for f in client.frames if f["type"] == "presence"][-1]) == ["Alice"])
        await client.close()


async def test_compression_is_never_negotiated(stack: Stack) -> None:
    async with user(stack) as alice:
        ticket = await alice.ticket()
        offer = {"protocols": ("chat.v1", f"ticket.{ticket}"), "origin": stack.url, "compress": 15}
        async with alice.http.ws_connect(stack.url.replace("http", "ws", 1) + "/ws/", **offer) as ws:
            assert ws.compress == 0
            assert ws.protocol == "chat.v1"
