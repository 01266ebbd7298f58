"""What is said is screened before it leaves the worker: partials, finals, and messages made of them."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Coroutine
from typing import Any

import pytest

from accounts.lib.db import in_db
from accounts.models import User
from chat.eventlog import store
from chat.models import Message, ModerationCase, Recording, Run, Utterance
from chat.protocol.commands import AudioStart
from chat.voice import recordings
from tests.fixtures.moderation_rules import add_rule
from workers.asr.base import AsrEvent
from workers.speech.dictation import Dictation
from workers.speech.publishing import RecordingPublisher
from workers.speech.transcripts import Transcripts

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("one_model", "no_rules", "layer")]

SAID = "the badger lives here"


class Speech:
    """A recording that a worker has claimed. `frames` is what its speaker got."""

    def __init__(self, claimed: recordings.ClaimedRecording) -> None:
        self.frames: list[dict[str, Any]] = []
        self._tasks: list[asyncio.Task[None]] = []
        self.dictation = Dictation(claimed)
        self.transcripts = Transcripts(claimed, RecordingPublisher(claimed), self.dictation, self._spawn)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.create_task(work))

    async def handle(self, kind: Any, text: str = SAID) -> None:
        await self.transcripts.handle(AsrEvent(kind, 1, text, end_ms=1000))
        while not self._tasks and kind == "partial":
            await asyncio.sleep(0.01)
        await asyncio.gather(*self._tasks)
        await self.dictation.finish()

    def of(self, kind: str) -> dict[str, Any]:
        return next(frame for frame in self.frames if frame["type"] == kind)


def claim(user: User, *, auto_send: bool) -> recordings.ClaimedRecording:
    start = AudioStart(
        conversation_id=None, client_id=uuid.uuid4(), encoding="pcm_s16le", sample_rate=16000, mode="auto",
        auto_send=auto_send,
    )  # fmt: skip
    claimed = recordings.claim(recordings._insert(user.pk, start))
    assert claimed is not None
    return claimed


async def speech(user: User, monkeypatch: pytest.MonkeyPatch, *, auto_send: bool = True) -> Speech:
    made = Speech(await in_db(claim, user, auto_send=auto_send))

    async def notify_user(_recording: Any, _kind: str, *, frame: str = "{}", **_fields: Any) -> None:
        made.frames.append(json.loads(frame))

    monkeypatch.setattr(recordings, "notify_user", notify_user)
    return made


async def everything(made: Speech) -> str:
    """What the speaker, the members and the database have of it, but for the cases."""

    def rows() -> list[Any]:
        return [list(kind.objects.values()) for kind in (Utterance, Message, Run, Recording)]

    logged: list[bytes] = []
    if made.dictation.conversation_id is not None:
        here, _ = await store.position(made.dictation.conversation_id)
        entries = await store.entries(made.dictation.conversation_id, after=0, until=here.seq)
        logged = [entry.body for entry in entries]
    return repr([made.frames, await in_db(rows), logged])


@pytest.mark.parametrize("action", ["mask", "hold", "block"])
async def test_a_partial_is_masked(alice: User, monkeypatch: pytest.MonkeyPatch, action: str) -> None:
    await in_db(add_rule, action, "badger", ["spoken"])
    made = await speech(alice, monkeypatch)
    await made.handle("speech_started")
    await made.handle("partial")
    partial = made.of("transcript.partial")
    assert partial["text"] == "the *** lives here"
    assert partial["stable_chars"] <= len(partial["text"])
    assert not await in_db(ModerationCase.objects.exists)


async def test_a_masked_final_becomes_a_masked_message(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    await in_db(add_rule, "mask", "badger", ["spoken"])
    made = await speech(alice, monkeypatch)
    await made.handle("final")
    message = await in_db(Message.objects.get, role="user")
    assert (message.text, made.of("transcript.final")["text"]) == ("the *** lives here",) * 2
    case = await in_db(ModerationCase.objects.get)
    assert (case.direction, case.target_id, case.original) == ("spoken", message.pk, SAID)
    assert "badger" not in await everything(made)


async def test_a_held_final_waits_as_a_message(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    await in_db(add_rule, "hold", "badger", ["spoken"])
    made = await speech(alice, monkeypatch)
    await made.handle("final")
    message, run = await in_db(Message.objects.get, role="user"), await in_db(Run.objects.get)
    assert (message.text, message.moderation["action"], run.status) == ("", "hold", "waiting")
    assert made.of("transcript.final")["text"] == ""
    found = await everything(made)
    assert "badger" not in found
    assert "lives here" not in found


async def test_a_blocked_final_goes_back_without_what_is_withheld(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    await in_db(add_rule, "block", "badger", ["spoken"], notice="No badgers.")
    made = await speech(alice, monkeypatch)
    await made.handle("final")
    unsent = made.of("audio.unsent")
    case = await in_db(ModerationCase.objects.get)
    assert (unsent["text"], unsent["message"], unsent["code"]) == ("the *** lives here", "No badgers.", "moderated")
    assert (unsent["case_id"], case.target, case.original) == (str(case.pk), "refused", SAID)
    assert not await in_db(Message.objects.exists)
    assert "badger" not in (await everything(made)).replace("No badgers.", "")


@pytest.mark.parametrize("action", ["mask", "hold", "block"])
async def test_a_final_for_the_field_is_masked_and_says_so(
    alice: User, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    await in_db(add_rule, action, "badger", ["spoken"])
    made = await speech(alice, monkeypatch, auto_send=False)
    await made.handle("final")
    case = await in_db(ModerationCase.objects.get)
    notice = made.of("moderation.notice")
    assert made.of("transcript.final")["text"] == "the *** lives here"
    assert (notice["action"], notice["case_id"], case.action) == ("mask", str(case.pk), "mask")
    assert "badger" not in await everything(made)


async def test_flagged_speech_stays_as_it_is(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    await in_db(add_rule, "flag", "badger", ["spoken"])
    made = await speech(alice, monkeypatch, auto_send=False)
    await made.handle("final")
    assert made.of("transcript.final")["text"] == SAID
    assert (await in_db(ModerationCase.objects.get)).action == "flag"
    assert "moderation.notice" not in [frame["type"] for frame in made.frames]
