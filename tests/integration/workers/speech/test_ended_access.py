"""Who may not write in a conversation any more says nothing more there, though a recording in it goes on."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.lib.db import in_db
from accounts.models import User
from chat.eventlog import store
from chat.models import Conversation, Member, Message
from chat.notifications import turns
from chat.protocol.commands import AudioStart
from chat.voice import recordings
from tests.fixtures.conversation_rows import make_conversation
from tests.integration.workers.speech.test_moderated_speech import SAID, Speech

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("one_model", "no_rules", "layer")]

ENDS: dict[str, Callable[[], object]] = {
    "removed": lambda: Member.objects.filter(user__email="bob@example.org").delete(),
    "a viewer": lambda: Member.objects.filter(user__email="bob@example.org").update(role="viewer"),
    "suspended": lambda: User.objects.filter(email="bob@example.org").update(
        suspended_until=timezone.now() + timedelta(days=1)
    ),
    "in the trash": lambda: Conversation.objects.update(deleted_at=timezone.now()),
}


def claim(user: User, conversation: Conversation) -> recordings.ClaimedRecording:
    Member.objects.create(user=user, conversation=conversation, role="editor")
    start = AudioStart(
        conversation_id=conversation.pk, client_id=uuid.uuid4(), encoding="pcm_s16le", sample_rate=16000, mode="auto",
        auto_send=True,
    )  # fmt: skip
    claimed = recordings.claim(recordings._insert(user.pk, start))
    assert claimed is not None
    return claimed


async def logged(conversation: Conversation) -> bytes:
    here, _ = await store.position(conversation.pk)
    return b"".join(entry.body for entry in await store.entries(conversation.pk, after=0, until=here.seq))


async def speech(alice: User, bob: User, monkeypatch: pytest.MonkeyPatch) -> tuple[Speech, Conversation]:
    conversation = await in_db(make_conversation, alice, 1)
    made = Speech(await in_db(claim, bob, conversation))

    async def notify_user(_recording: Any, _kind: str, *, frame: str = "{}", **_fields: Any) -> None:
        made.frames.append(json.loads(frame))

    monkeypatch.setattr(recordings, "notify_user", notify_user)
    return made, conversation


async def test_a_member_is_heard(alice: User, bob: User, monkeypatch: pytest.MonkeyPatch) -> None:
    made, conversation = await speech(alice, bob, monkeypatch)
    await made.handle("final")
    assert b"transcript.final" in await logged(conversation)
    assert await in_db(Message.objects.filter(text=SAID).count) == 1


async def test_the_end_of_a_recording_waits_for_the_news_of_its_messages(
    alice: User, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before, a worker that ended then told nobody, and the test above ended while the news was being read."""
    told = asyncio.Event()

    async def announce_turn(*_: Any) -> None:
        await asyncio.sleep(0.1)  # longer than anything that the recording waits for itself
        told.set()

    monkeypatch.setattr(turns, "announce_turn", announce_turn)
    made, _ = await speech(alice, bob, monkeypatch)
    await made.handle("final")
    assert told.is_set()


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS.keys())
async def test_nobody_is_heard_who_may_not_write(
    alice: User, bob: User, monkeypatch: pytest.MonkeyPatch, end: Callable[[], object]
) -> None:
    made, conversation = await speech(alice, bob, monkeypatch)
    await in_db(end)
    await made.handle("final")
    assert SAID.encode() not in await logged(conversation)
    assert await in_db(Message.objects.filter(text=SAID).count) == 0
    assert made.of("transcript.final")["text"] == SAID
    assert made.of("audio.unsent")["message"]
