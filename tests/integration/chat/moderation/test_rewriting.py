"""A text that was withdrawn after it was shown is in no row, no log and no position of one."""

from __future__ import annotations

import uuid
from functools import partial
from typing import Any

import pytest
import redis
from django.db import transaction

from accounts.lib.db import in_db
from accounts.models import User
from chat.conversations.snapshot import read_snapshot
from chat.eventlog import events, store
from chat.models import Conversation, Message, Reasoning, Recording, Run, RunStatus, Summary, Utterance
from chat.models.rewritten import Rewritten
from chat.moderation import rewriting
from chat.moderation.rewriting import publish_rewritten, rewrite_message
from chat.protocol.commands import Position
from chat.recovery.reaper import begin_logs_anew
from chat.runs.claims import Checkpoint, checkpoint, claim
from chat.runs.clock import database_time
from chat.runs.closing import close_in_log
from chat.runs.ending import Ending, end_run
from chat.turns.accepted import Accepted
from chat.turns.submit import announce
from tests.fixtures.quota_rows import Elsewhere
from tests.fixtures.redis_contents import redis_contents
from tests.fixtures.run_rows import row, say

pytestmark = pytest.mark.django_db(transaction=True)

SECRET = "Xylophone-4711"  # of the answer
ASKED = "Yodel-0815"  # of the question
MASKED = {"action": "mask", "reason": "Not here.", "case_id": str(uuid.uuid4())}


@pytest.fixture
async def turn(alice: User, layer: None) -> Accepted:
    """A question and its answer, which has begun with `SECRET`."""
    turn = await in_db(say, alice, f"Tell me about {ASKED}")
    await announce(turn)
    await in_db(claim, turn.run_id, "w")
    await write(turn, 0, f"It is {SECRET}", 2)
    return turn


async def write(turn: Accepted, index: int, text: str, number: int) -> store.Appended:
    delta = events.run_delta(str(turn.conversation_id), str(turn.run_id), 1, index, text)
    [appended] = await store.append(store.Append(turn.conversation_id, [delta], turn.run_id, 1, number))
    return appended


async def end(turn: Accepted, text: str = f"It is {SECRET}") -> None:
    ended = await in_db(end_run, turn.run_id, 1, RunStatus.DONE, Ending(text, reasoning=f"Hm, {SECRET}"))
    assert ended is not None
    await close_in_log(ended)


def answer_of(turn: Accepted) -> Message:
    return row(turn.run_id).message


async def answer_id(turn: Accepted) -> uuid.UUID:
    return (await in_db(answer_of, turn)).pk


async def position(turn: Accepted) -> Position:
    here, _ = await store.position(turn.conversation_id)
    return here


async def logged(turn: Accepted) -> str:
    entries = await store.entries(turn.conversation_id, after=0, until=(await position(turn)).seq)
    return "\n".join(entry.body.decode() for entry in entries)


async def assert_gone(turn: Accepted, before: Position, secret: str = SECRET) -> None:
    """No replay, no snapshot and no key has the secret; every reader from before takes a snapshot."""
    assert secret not in await logged(turn)
    assert secret not in await in_db(redis_contents)
    assert (await store.read(turn.conversation_id, before)).entries is None
    assert (await position(turn)).epoch != before.epoch
    state = await read_snapshot(turn.conversation_id)
    assert secret not in str(state.messages)


async def test_of_an_answer_that_has_ended(turn: Accepted) -> None:
    await end(turn)
    before = await position(turn)
    await in_db(Message.objects.filter(pk=await answer_id(turn)).update, html=f"<p>It is {SECRET}</p>")
    assert await in_db(lambda: rewrite_message(answer_of(turn).pk, "It is ***", MASKED, reasoning=""))
    await assert_gone(turn, before)
    run = await in_db(row, turn.run_id)
    assert (run.message.text, run.message.html, run.message.moderation) == ("It is ***", "", MASKED)
    assert (run.status, run.reasoning_chars, run.checkpoint_epoch) == ("done", 0, "")
    assert not await in_db(Reasoning.objects.exists)
    assert not await in_db(Rewritten.objects.exists)
    assert '"type":"message.updated"' in await logged(turn)
    assert (await read_snapshot(turn.conversation_id)).messages[-1]["moderation"] == MASKED


async def test_what_the_model_thought_stays_unless_it_is_replaced(turn: Accepted) -> None:
    await end(turn)
    await in_db(lambda: rewrite_message(answer_of(turn).pk, "It is ***", MASKED))
    assert (await in_db(Reasoning.objects.get)).text == f"Hm, {SECRET}"
    await in_db(lambda: rewrite_message(answer_of(turn).pk, "It is ***", MASKED, reasoning="Hm, ***"))
    assert (await in_db(Reasoning.objects.get)).text == "Hm, ***"
    assert (await in_db(row, turn.run_id)).reasoning_chars == 7


async def test_of_an_answer_that_is_being_written(turn: Accepted) -> None:
    """Its run ends with the new text, and its worker can write nothing behind it."""
    here = await position(turn)
    await in_db(checkpoint, [Checkpoint(turn.run_id, 1, here.epoch, here.seq, f"It is {SECRET}")], "w")
    await in_db(lambda: rewrite_message(answer_of(turn).pk, "It is", MASKED))
    assert (await write(turn, 6, SECRET, 3)).fenced
    assert not await in_db(checkpoint, [Checkpoint(turn.run_id, 1, here.epoch, here.seq, SECRET)], "w")
    await assert_gone(turn, here)
    run = await in_db(row, turn.run_id)
    assert (run.status, run.error_code, run.error_message) == ("stopped", "moderated", "Not here.")
    assert (run.message.text, run.message.status, run.ended_in_log) == ("It is", "stopped", True)


async def test_of_a_question_while_it_is_answered(turn: Accepted, alice: User) -> None:
    """With the title that was made of its words, what was dictated for it, and summaries of it. The answer goes on."""
    before = await position(turn)
    question = await in_db(lambda: row(turn.run_id).prompt)

    def add() -> None:
        Summary.objects.create(conversation_id=turn.conversation_id, last=question, messages=1, text=ASKED, model="m")
        recording = Recording.objects.create(user=alice, client_id=uuid.uuid4(), language="en", mode="dictation")
        for number, text in enumerate((f"Tell me about {ASKED}", ASKED)):
            Utterance.objects.create(
                recording=recording, number=number, text=text, start_ms=0, end_ms=1, message=question
            )

    await in_db(add)
    assert ASKED in (await in_db(Conversation.objects.get)).title
    await in_db(rewrite_message, question.pk, "Tell me about ***", MASKED)
    written = await write(turn, 0, "It is ***", 3)
    assert not written.fenced
    assert (await in_db(Conversation.objects.get)).title == "Tell me about ***"
    assert not await in_db(Summary.objects.exists)
    assert await in_db(lambda: [each.text for each in Utterance.objects.order_by("number")]) == [
        "Tell me about ***",
        "",
    ]
    assert (await in_db(row, turn.run_id)).status == "running"
    await assert_gone(turn, before, ASKED)


async def test_a_title_that_was_given_stays(turn: Accepted) -> None:
    await in_db(Conversation.objects.update, title="Music")
    question = await in_db(lambda: row(turn.run_id).prompt)
    await in_db(rewrite_message, question.pk, "***", MASKED)
    assert (await in_db(Conversation.objects.get)).title == "Music"


async def test_each_further_rewriting_begins_the_log_anew(turn: Accepted, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when this machine's clock has been set back, so that its number is lower than the one before."""
    await end(turn)
    await in_db(lambda: rewrite_message(answer_of(turn).pk, SECRET, {}, reasoning=""))
    before = await position(turn)
    now = await in_db(database_time)
    monkeypatch.setattr(rewriting, "database_time", lambda: now.replace(year=now.year - 1))
    await in_db(lambda: rewrite_message(answer_of(turn).pk, "***", MASKED))
    await assert_gone(turn, before)


async def test_nothing_is_changed_of_a_message_that_is_gone(turn: Accepted) -> None:
    await end(turn)
    gone = await answer_id(turn)
    await in_db(lambda: Conversation.objects.all().delete())
    assert not await in_db(rewrite_message, gone, "***", MASKED)
    assert not await in_db(Rewritten.objects.exists)


async def test_a_conversation_that_is_deleted_before_its_log_begins_anew(
    turn: Accepted, monkeypatch: pytest.MonkeyPatch
) -> None:
    await end(turn)
    monkeypatch.setattr(rewriting, "_publish_soon", lambda ids: None)
    await in_db(lambda: rewrite_message(answer_of(turn).pk, "***", MASKED))
    await in_db(lambda: Conversation.objects.all().delete())
    assert await publish_rewritten() == 0


async def test_while_redis_is_away_the_new_epoch_comes_later(turn: Accepted, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also that of an answer whose end is not in the log yet: the end comes first, and only once."""
    before = await position(turn)
    append = store.append

    async def away(*appends: Any) -> Any:
        raise redis.ConnectionError

    monkeypatch.setattr(store, "append", away)
    await in_db(lambda: rewrite_message(answer_of(turn).pk, "It is ***", MASKED))
    assert (await position(turn)).epoch == before.epoch
    assert await in_db(Rewritten.objects.exists)
    monkeypatch.setattr(store, "append", append)
    await begin_logs_anew()
    await assert_gone(turn, before)
    assert not await in_db(Rewritten.objects.exists)
    assert await in_db(Run.objects.filter(ended_in_log=True).exists)


async def test_a_text_changed_again_meanwhile_is_published_again(
    turn: Accepted, monkeypatch: pytest.MonkeyPatch
) -> None:
    await end(turn)
    publish = rewriting._publish_soon
    monkeypatch.setattr(rewriting, "_publish_soon", lambda ids: None)
    await in_db(lambda: rewrite_message(answer_of(turn).pk, SECRET, MASKED))
    read = rewriting._find

    def change_again(ids: Any) -> Any:
        found = read(ids)
        rewrite_message(answer_of(turn).pk, "***", MASKED)
        monkeypatch.setattr(rewriting, "_find", read)
        return found

    monkeypatch.setattr(rewriting, "_find", change_again)
    assert await publish_rewritten() == 1
    assert await in_db(Rewritten.objects.exists)
    before = await position(turn)
    monkeypatch.setattr(rewriting, "_publish_soon", publish)
    await begin_logs_anew()
    assert SECRET not in await logged(turn)
    assert (await position(turn)).epoch != before.epoch


def test_a_question_and_its_answer_withheld_at_once_leave_no_title(alice: User) -> None:
    """A model has named the conversation. Without the answer it is named after the question, which goes as well."""
    asked = say(alice, f"Tell me about {ASKED}")
    assert claim(asked.run_id, "w") is not None
    end_run(asked.run_id, 1, RunStatus.DONE, Ending(f"It is {SECRET}"))
    Conversation.objects.update(title="Named by a model", written_title="Named by a model")
    answer = answer_of(asked)
    with transaction.atomic():
        rewrite_message(answer.pk, "", MASKED, publish=False)
        question = Elsewhere(partial(rewrite_message, asked.message_id, "", MASKED, publish=False))
        assert question.blocked()
    question.join(60)
    assert question.outcome is True
    assert ASKED not in Conversation.objects.get().title
