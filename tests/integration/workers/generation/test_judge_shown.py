"""Judges read what no run judges: messages that ask nobody, and edits in place."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.lib.db import in_db
from accounts.models import UsageEntry, User
from chat.conversations.copying import fork
from chat.models import Message, ModerationCase, Unjudged
from chat.models.moderation import Action, Direction
from chat.moderation.judging import AGAIN_SECONDS
from chat.turns.changing import delete_message, edit_message
from chat.turns.releasing import HeldState, release_held
from tests.fixtures.judged_runs import (
    ScriptedJudge,
    ScriptedModel,
    Worker,
    definition,
    finds,
    is_away,
    is_down,
    panel_of,
    places_with,
)
from tests.fixtures.run_rows import say
from workers.generation.judge_shown import GIVE_UP_SECONDS, ShownJudge
from workers.moderation.config import JudgeDefinition

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("one_model", "layer")]

BAD = "canary3k"
CASES = "chat_moderationcase"
Round = Callable[..., "asyncio.Future[Worker]"]


@pytest.fixture
async def judged() -> AsyncGenerator[Round]:
    """`await judged(backend, *definitions)` is one round of a worker."""
    started: list[Worker] = []

    async def play(backend: ScriptedJudge, *judges: JudgeDefinition) -> Worker:
        worker = Worker(ScriptedModel("Hello."), panel_of(backend, *judges))
        started.append(worker)
        await ShownJudge(worker.services).judge()
        if worker.tasks:
            await asyncio.wait(worker.tasks)
        return worker

    yield play  # type: ignore[misc]  # a coroutine is as good as a future here
    for worker in started:
        await worker.close()


def write(user: User, text: str) -> Message:
    """A message that asks nobody."""
    return Message.objects.get(pk=say(user, text, ask=False).message_id)


def age(seconds: float) -> None:
    """All texts wait for so long already, and are due."""
    Unjudged.objects.update(created_at=timezone.now() - timedelta(seconds=seconds), next_try_at=timezone.now())


def texts() -> list[str]:
    return list(Message.objects.order_by("created_at").values_list("text", flat=True))


@pytest.mark.parametrize("action", [Action.BLOCK, Action.HOLD])
async def test_a_message_that_asks_nobody_is_withheld(judged: Round, alice: User, action: Action) -> None:
    message = await in_db(write, alice, f"Look: {BAD}")
    await judged(ScriptedJudge(finds(BAD)), definition(action))
    case = await in_db(ModerationCase.objects.get)
    assert (case.target_id, case.person_id, case.action, case.original) == (
        message.pk,
        alice.pk,
        action.value,
        f"Look: {BAD}",
    )
    assert await in_db(places_with, BAD) == {CASES}
    assert await in_db(UsageEntry.objects.count) == 1
    assert not await in_db(Unjudged.objects.exists)
    if action is Action.HOLD:
        held = await in_db(release_held, case.pk)
        assert held.state is HeldState.RELEASED
        assert await in_db(texts) == [f"Look: {BAD}"]


async def test_a_flag_leaves_it_as_it_is(judged: Round, alice: User) -> None:
    await in_db(write, alice, f"Look: {BAD}")
    await judged(ScriptedJudge(finds(BAD)), definition(Action.FLAG))
    assert await in_db(texts) == [f"Look: {BAD}"]
    assert await in_db(ModerationCase.objects.count) == 1


async def test_an_edit_is_judged_and_only_the_last_text(judged: Round, alice: User) -> None:
    message = await in_db(write, alice, "Harmless")
    backend = ScriptedJudge(finds(BAD))
    await judged(backend, definition())
    await in_db(edit_message, alice.pk, message.pk, f"Now {BAD}")
    await in_db(edit_message, alice.pk, message.pk, f"Now {BAD} again")
    await judged(backend, definition())
    assert backend.texts == ["Harmless", f"Now {BAD} again"]
    assert await in_db(texts) == [""]


async def test_an_edited_answer_is_judged_as_an_answer(judged: Round, alice: User) -> None:
    accepted = await in_db(say, alice, "Hello")
    worker = await judged(ScriptedJudge(), definition())
    run = await worker.answer_run(accepted.run_id)
    await in_db(edit_message, alice.pk, run.message_id, f"Better: {BAD}")
    backend = ScriptedJudge(finds(BAD))
    await judged(backend, definition(Action.BLOCK, Direction.ASKED))
    assert backend.texts == []
    await in_db(edit_message, alice.pk, run.message_id, f"Best: {BAD}")
    await judged(backend, definition(Action.BLOCK, Direction.ANSWERED))
    assert await in_db(lambda: Message.objects.get(pk=run.message_id).text) == ""


async def test_a_text_that_changes_while_it_is_judged_is_judged_again(judged: Round, alice: User) -> None:
    message = await in_db(write, alice, f"First {BAD}")
    backend = ScriptedJudge(finds(BAD))

    async def edit(text: str) -> None:
        if text.startswith("First"):
            await in_db(edit_message, alice.pk, message.pk, "Second")

    backend.before = edit
    await judged(backend, definition())
    assert backend.texts == [f"First {BAD}", "Second"]
    assert await in_db(texts) == ["Second"]
    assert not await in_db(ModerationCase.objects.exists)


async def test_a_message_that_is_deleted_meanwhile_needs_no_verdict(judged: Round, alice: User) -> None:
    message = await in_db(write, alice, BAD)
    backend = ScriptedJudge(finds(BAD))
    backend.before = lambda _text: in_db(delete_message, alice.pk, message.pk)
    await judged(backend, definition())
    assert not await in_db(ModerationCase.objects.exists)
    assert not await in_db(Unjudged.objects.exists)


async def test_without_a_judge_nothing_waits(judged: Round, alice: User) -> None:
    await in_db(write, alice, BAD)
    await judged(ScriptedJudge())
    assert not await in_db(Unjudged.objects.exists)
    assert await in_db(texts) == [BAD]


async def test_a_judge_that_is_away_is_asked_again_until_it_answers(judged: Round, alice: User) -> None:
    await in_db(write, alice, BAD)
    await judged(ScriptedJudge(is_away), definition())
    assert not await in_db(ModerationCase.objects.exists)
    row = await in_db(Unjudged.objects.get)
    assert 0 < (row.next_try_at - timezone.now()).total_seconds() <= AGAIN_SECONDS
    await in_db(lambda: Unjudged.objects.update(next_try_at=timezone.now()))
    await judged(ScriptedJudge(finds(BAD)), definition())
    assert await in_db(texts) == [""]


async def test_a_text_that_a_judge_cannot_read_has_a_case_after_an_hour(judged: Round, alice: User) -> None:
    await in_db(write, alice, BAD)
    await in_db(age, GIVE_UP_SECONDS + 1)
    await judged(ScriptedJudge(is_away), definition())
    assert await in_db(texts) == [BAD]
    assert (await in_db(ModerationCase.objects.get)).action == Action.FLAG
    assert not await in_db(Unjudged.objects.exists)


async def test_an_outage_opens_no_case_and_all_texts_are_judged_after_it(judged: Round, alice: User) -> None:
    for number in range(30):
        await in_db(write, alice, f"{BAD} {number}")
    await in_db(age, 5 * 3600)
    backend = ScriptedJudge(is_down)
    await judged(backend, definition())
    assert not await in_db(ModerationCase.objects.exists)
    rows = await in_db(lambda: list(Unjudged.objects.order_by("next_try_at")))
    assert len(rows) == 30, "however long it takes"
    assert len(backend.texts) < 30, "the rest of a round is not asked in vain"
    assert 1700 < (rows[-1].next_try_at - timezone.now()).total_seconds() < 1900, "a tenth of its age"
    await in_db(lambda: Unjudged.objects.filter(pk=rows[-1].pk).update(next_try_at=timezone.now()))
    await judged(ScriptedJudge(finds(BAD)), definition())
    assert await in_db(texts) == [""] * 30
    assert not await in_db(Unjudged.objects.exists)


async def test_what_a_reviewer_has_released_meanwhile_is_not_judged(judged: Round, alice: User) -> None:
    message = await in_db(write, alice, BAD)

    def release() -> None:
        case = ModerationCase.objects.create(
            target="message", target_id=message.pk, direction="asked", origin="rule", action="flag", status="decided",
            decided_at=timezone.now(),
        )  # fmt: skip
        case.decisions.create(kind="release")

    await in_db(release)
    await judged(ScriptedJudge(finds(BAD)), definition())
    assert await in_db(texts) == [BAD]
    await in_db(edit_message, alice.pk, message.pk, f"Now {BAD}")
    await judged(ScriptedJudge(finds(BAD)), definition())
    assert await in_db(texts) == [""], "an edit is another text"


async def test_a_copy_that_was_made_before_the_verdict_is_judged_too(judged: Round, alice: User) -> None:
    message = await in_db(write, alice, BAD)
    await in_db(fork, alice.pk, message.pk)
    await judged(ScriptedJudge(finds(BAD)), definition())
    assert await in_db(texts) == ["", ""]


async def test_two_workers_judge_a_text_once(judged: Round, alice: User) -> None:
    for number in range(30):
        await in_db(write, alice, f"Message {number}")
    backend = ScriptedJudge()
    await asyncio.gather(judged(backend, definition()), judged(backend, definition()))
    assert sorted(backend.texts) == sorted(f"Message {number}" for number in range(30))
