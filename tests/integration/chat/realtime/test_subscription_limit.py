"""The limit on the conversations one connection follows, on the real consumer with no process but this one."""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from functools import partial
from typing import Any

import pytest

from accounts.lib.db import in_db
from accounts.models import User
from chat.eventlog import store
from chat.models import Conversation, Member, Message, Role, Run, Submission
from chat.realtime.consumer import ChatConsumer
from chat.recovery import reaper

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("one_model")]

LIMIT = 100


class Socket:
    """A client of one consumer in this process."""

    def __init__(self, user: User, session: str = "s") -> None:
        self.frames: list[dict[str, Any]] = []
        self._closed: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        scope = {"type": "websocket", "user_id": user.pk, "session_hash": session, "client": ("192.0.2.1", 1)}
        self._task = asyncio.create_task(ChatConsumer()(scope, self._incoming.get, self._receive))
        self._incoming.put_nowait({"type": "websocket.connect"})

    async def _receive(self, message: dict[str, Any]) -> None:
        if "text" in message:
            self.frames.append(json.loads(message["text"]))
        elif message["type"] == "websocket.close" and not self._closed.done():
            self._closed.set_result(message["code"])

    @property
    def open(self) -> bool:
        return not self._closed.done()

    async def closed(self) -> int:
        """The code with which the server closes it."""
        return await asyncio.wait_for(asyncio.shield(self._closed), 20)

    async def until(self, kind: str, ref: str | None = None) -> dict[str, Any]:
        async with asyncio.timeout(30):
            while True:
                for frame in self.frames:
                    if (ref is None and frame["type"] == kind) or (ref is not None and frame.get("ref") == ref):
                        return frame
                await asyncio.sleep(0.01)

    def send(self, frame: dict[str, Any]) -> None:
        """Sends a frame."""
        self._incoming.put_nowait({"type": "websocket.receive", "text": json.dumps(frame)})

    async def ask(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Sends a command; its reply, or the error."""
        ref = uuid.uuid4().hex
        self.send({"type": kind, "ref": ref, **fields})
        return await self.until("", ref)

    async def say(self, text: str, conversation: uuid.UUID | None = None, client_id: str = "") -> dict[str, Any]:
        to = None if conversation is None else str(conversation)
        client_id = client_id or str(uuid.uuid4())
        return await self.ask("message.send", conversation_id=to, client_id=client_id, text=text)

    async def close(self) -> None:
        self._incoming.put_nowait({"type": "websocket.disconnect", "code": 1000})
        await self._task


@contextlib.asynccontextmanager
async def opened(user: User, session: str = "s") -> AsyncIterator[Socket]:
    socket = Socket(user, session)
    try:
        await socket.until("hello")
        yield socket
    finally:
        await socket.close()


@pytest.fixture
async def layer(clean_redis: str, settings: Any, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[None, None]:
    """The channel layer, without rate limits and without the recovery that a web process runs beside its sockets."""
    settings.RATE_FRAMES = settings.RATE_COMMANDS = settings.RATE_REFUSALS = "off"
    monkeypatch.setattr(reaper, "run", partial(asyncio.sleep, 0))
    yield
    layer = store.channel_layer()
    await layer.group_add("after-all-others", await layer.new_channel())  # the sockets have left their groups by then
    await layer.close()


def own_conversations(user: User, count: int) -> list[uuid.UUID]:
    made = Conversation.objects.bulk_create([Conversation(title="Open") for _ in range(count)])
    Member.objects.bulk_create([Member(conversation=one, user=user, role=Role.OWNER) for one in made])
    return [one.pk for one in made]


async def follow(socket: Socket, conversations: list[uuid.UUID]) -> None:
    for one in conversations:
        assert (await socket.ask("subscribe", conversation_id=str(one)))["type"] == "subscribed"


async def test_a_message_over_the_limit_is_refused_before_anything_is_written(alice: User, layer: None) -> None:
    *followed, other = await in_db(own_conversations, alice, LIMIT + 1)
    async with opened(alice) as socket:
        await follow(socket, followed)
        client_id = str(uuid.uuid4())
        for conversation in (None, other):
            refused = await socket.say("One too many", conversation, client_id)
            assert (refused["type"], refused["code"]) == ("error", "rate_limited")
            assert f"{LIMIT} conversations" in refused["message"]
        assert not await in_db(Submission.objects.exists)
        assert not await in_db(Message.objects.exists)
        assert not await in_db(Run.objects.exists)
        assert await in_db(Conversation.objects.count) == LIMIT + 1
        assert (await socket.say("Here there is room", followed[0]))["type"] == "message.accepted"


async def test_a_repeat_of_an_accepted_message_is_accepted_over_the_limit(alice: User, layer: None) -> None:
    followed = await in_db(own_conversations, alice, LIMIT)
    client_id = str(uuid.uuid4())
    async with opened(alice) as first:
        sent = await first.say("Once", client_id=client_id)
    async with opened(alice) as socket:
        await follow(socket, followed)
        for _ in range(2):
            again = await socket.say("Once", client_id=client_id)
            assert (again["type"], again["duplicate"], again["run_id"]) == ("message.accepted", True, sent["run_id"])
        await store.append(store.Append(uuid.UUID(sent["conversation_id"]), [(b'{"type":"x"}', False)]))
        await socket.ask("unsubscribe", conversation_id=str(followed[0]))
        assert not [frame for frame in socket.frames if frame["type"] == "x"], "it is not followed"
        await socket.say("Once", client_id=client_id)
        await socket.until("x")


async def test_commands_at_the_same_time_stay_within_the_limit_together(alice: User, layer: None) -> None:
    followed = await in_db(own_conversations, alice, LIMIT - 1)
    async with opened(alice) as socket:
        await follow(socket, followed)
        replies = await asyncio.gather(*(socket.say(f"Me {number}") for number in range(4)))
        assert sorted(reply["type"] for reply in replies) == ["error"] * 3 + ["message.accepted"]
        assert await in_db(Run.objects.count) == 1
        await socket.ask("unsubscribe", conversation_id=str(followed[0]))
        assert (await socket.say("Now there is room"))["type"] == "message.accepted", "what was reserved is free again"
