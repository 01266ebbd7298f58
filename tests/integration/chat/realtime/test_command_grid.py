"""Every command with the ids of Alice's things, sent by strangers, removed members and viewers."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from accounts.lib.db import in_db
from accounts.models import User
from chat.models import Conversation, Member, Message, Recording, Run
from tests.conftest import make_user
from tests.fixtures.quota_rows import end
from tests.fixtures.run_rows import say
from tests.integration.chat.realtime.test_command_floods import COMMANDS, frame_of
from tests.integration.chat.realtime.test_subscription_limit import layer, opened

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("one_model", layer.__name__)]
WATCHED: tuple[Any, ...] = (Conversation, Message, Run, Recording)


def things(alice: User) -> dict[str, str]:
    """An answer that has ended, and one in progress."""
    accepted = say(alice, "Hello")
    end(accepted.run_id)
    first = Run.objects.get(pk=accepted.run_id)
    running = say(alice, "More", accepted.conversation_id)
    return {
        "conversation_id": str(accepted.conversation_id), "message_id": str(first.message_id),
        "run_id": str(running.asked_run_id), "question": str(accepted.message_id),
    }  # fmt: skip


def join(ids: dict[str, str], role: str) -> User:
    user = make_user("Vi")
    Member.objects.create(conversation_id=ids["conversation_id"], user=user, role=role)
    return user


def removed(ids: dict[str, str]) -> User:
    user = join(ids, "editor")
    Member.objects.filter(user=user).delete()
    return user


def rows() -> list[Any]:
    return [list(kind.objects.order_by("pk").values()) for kind in WATCHED]


WHO: dict[str, Callable[[dict[str, str]], User]] = {
    "a stranger": lambda _: make_user("Bo"),
    "a removed member": removed,
    "a viewer": lambda ids: join(ids, "viewer"),
}
SILENT = ("ack", "deltas", "pong", "seen", "tts.played", "typing", "visible")  # have no answer if they are carried out
OWN = {"ping": "pong", "unsubscribe": "ok"}  # about the socket alone
# Of what they would have to own, or that is not on this connection, everybody hears the same.
NOT_THERE = dict.fromkeys(
    ("audio.cancel", "audio.flush", "audio.stop", "queue.edit", "queue.move", "queue.remove", "queue.send_now",
     "tool.decide", "tts.say", "tts.stop"), "not_found",
)  # fmt: skip
CHANGES = (
    "answer.choose", "audio.interrupt", "audio.start", "message.continue", "message.edit", "message.regenerate",
    "message.send", "run.stop",
)  # fmt: skip
READS = {"branch.view": "ok", "message.rate": "ok", "subscribe": "subscribed", "tts.start": "tts.started"}
NOT_FOUND = {**OWN, **NOT_THERE, **dict.fromkeys((*CHANGES, *READS), "not_found")}
WANTED = {
    "a stranger": NOT_FOUND,
    "a removed member": NOT_FOUND,
    "a viewer": {**OWN, **NOT_THERE, **READS, **dict.fromkeys((*CHANGES, "tool.decide"), "forbidden")},
}


def test_every_command_is_in_the_grid() -> None:
    assert {str(one.__struct_config__.tag) for one in COMMANDS} == {*NOT_FOUND, *SILENT}


@pytest.mark.parametrize("who", WHO)
async def test_identity_by_command(alice: User, layer: None, settings: Any, who: str) -> None:
    settings.ASR_BACKENDS = settings.SPEECH_BACKENDS = ["none"]
    settings.SPEECH_VOICES = ["voice"]
    ids = await in_db(things, alice)
    user = await in_db(WHO[who], ids)
    before, found = await in_db(rows), {}
    async with opened(user) as socket, opened(alice, session="hers") as hers:
        await hers.ask("subscribe", conversation_id=ids["conversation_id"])
        for command in COMMANDS:
            name = str(command.__struct_config__.tag)
            frame = frame_of(command, uuid.UUID(ids["conversation_id"]))
            known = {**ids, "message_id": ids["question"]} if name == "message.edit" else ids
            frame |= {field.name: known[field.name] for field in msgspec.structs.fields(command) if field.name in known}
            if name in SILENT:
                socket.send({**frame, "ref": name})
                continue
            socket.send({**frame, "ref": name})
            said = await socket.until("", name)
            found[name] = said["code"] if said["type"] == "error" else said["type"]
        assert (await hers.ask("ping"))["type"] == "pong"
        seen = [frame for frame in hers.frames if frame["type"] in ("typing", "seen", "message.created", "run.stopped")]
    assert found == WANTED[who]
    assert await in_db(rows) == before
    if who != "a viewer":
        assert seen == []
