"""What a socket refuses, what it names when it does, and when it closes."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from typing import Any

import pytest

from tests.client import session
from tests.client_view import View
from tests.fakes.openai_server import FakeOpenAI
from tests.integration.chat.realtime.talking import user
from tests.stack import Stack

pytestmark = pytest.mark.asyncio(loop_scope="function")


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


async def test_compression_is_never_negotiated(stack: Stack) -> None:
    async with user(stack) as alice:
        ticket = await alice.ticket()
        offer = {"protocols": ("chat.v1", f"ticket.{ticket}"), "origin": stack.url, "compress": 15}
        async with alice.http.ws_connect(stack.url.replace("http", "ws", 1) + "/ws/", **offer) as ws:
            assert ws.compress == 0
            assert ws.protocol == "chat.v1"
