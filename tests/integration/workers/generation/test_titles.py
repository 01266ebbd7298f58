"""A model names a conversation after its first answer: once, never over a person's title, at the site's expense."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from typing import Any, cast

import pytest

from accounts.lib.db import in_db
from accounts.models import Unit, UsageEntry, User
from chat.conversations import listing
from chat.models import Conversation, RunStatus
from chat.models.conversations import title_from
from chat.runs.context import ClaimedRun
from chat.runs.ending import Ending, end_run
from chat.runs.lifecycle import claim
from tests.fixtures.moderation_rules import add_rule
from tests.fixtures.quota_rows import give, standing
from tests.fixtures.run_rows import say
from workers.generation.titles import TitleWriter
from workers.providers.base import ChatTurn, Chunk, OnRequest, Options, ProviderError, TokenUsage

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("one_model")]

QUESTION = "Which trains go from Berlin to Rome in one day, and what do they cost in the second class?"


@pytest.fixture(autouse=True)
def _by_the_model_that_answered(settings: Any) -> None:
    settings.TITLE_MODEL = "same"


class TitleModel:
    """A `ChatModel` that says `said` when it is asked for a title, after `before` was called."""

    def __init__(self, said: str, *, before: Callable[[], Any] = lambda: None, fails: bool = False) -> None:
        self.said = said
        self.before = before
        self.fails = fails
        self.asked: list[tuple[str, Sequence[ChatTurn]]] = []

    @contextlib.asynccontextmanager
    async def stream(
        self, model: str, turns: Sequence[ChatTurn], *, options: Options, on_request: OnRequest
    ) -> AsyncGenerator[AsyncIterator[list[Chunk]]]:
        self.asked.append((model, turns))
        on_request("host", model)

        async def play() -> AsyncGenerator[list[Chunk]]:
            await in_db(self.before)
            yield [Chunk(self.said, reasoning="Let me think of a title.")]
            if self.fails:
                raise ProviderError("upstream_cut", "The connection was lost.")
            yield [Chunk(usage=TokenUsage(50, 7))]

        answer = play()
        try:
            yield answer
        finally:
            await answer.aclose()


def answer(user: User, conversation: uuid.UUID | None = None, text: str = QUESTION, **fields: Any) -> ClaimedRun:
    """A question and its answer, as the worker knows the run."""
    accepted = say(user, text, conversation, **fields)
    claimed = claim(accepted.run_id, "worker")
    assert claimed is not None
    done = end_run(accepted.run_id, 1, RunStatus.DONE, Ending("By train, in 20 hours."), owner="worker")
    assert done is not None
    return claimed.run


async def title_after(run: ClaimedRun, model: TitleModel) -> str:
    await TitleWriter(cast("Any", model)).write(run)
    return (await in_db(Conversation.objects.get, pk=run.conversation_id)).title


async def test_the_first_answer_gives_the_title_and_the_site_pays(alice: User) -> None:
    await in_db(give, alice, 1_000, Unit.OUTPUT_TOKENS)
    run = await in_db(answer, alice)
    before = await in_db(standing, alice)
    model = TitleModel('"Berlin to Rome by train."')
    assert await title_after(run, model) == "Berlin to Rome by train"
    [(name, turns)] = model.asked
    assert name == run.model
    assert QUESTION in turns[-1].content
    assert "By train, in 20 hours." in turns[-1].content
    entry = await in_db(UsageEntry.objects.get, user=None)
    assert (entry.conversation_id, entry.endpoint, entry.messages) == (run.conversation_id, "host", 0)
    assert entry.purpose == "title"
    assert (entry.input_tokens, entry.output_tokens, entry.estimated) == (50, 7, False)
    assert await in_db(standing, alice) == before


async def test_another_model_can_be_named(alice: User, settings: Any) -> None:
    settings.TITLE_MODEL = "cheap"
    model = TitleModel("Trains")
    assert await title_after(await in_db(answer, alice), model) == "Trains"
    assert [name for name, _ in model.asked] == ["cheap"]


async def test_a_later_answer_and_a_temporary_chat_keep_their_title(alice: User) -> None:
    first = await in_db(answer, alice)
    second = await in_db(answer, alice, first.conversation_id, "And back?")
    temporary = await in_db(answer, alice, temporary=True)
    model = TitleModel("Never")
    for run in (second, temporary):
        assert await title_after(run, model) == title_from(QUESTION)
    assert model.asked == []


async def test_a_title_of_a_persons_own_stays(alice: User) -> None:
    run = await in_db(answer, alice)
    model = TitleModel("A title of the model's")

    def rename() -> None:
        listing.rename(alice.pk, run.conversation_id, "My trip")

    model.before = rename  # while the model is writing
    assert await title_after(run, model) == "My trip"
    assert await title_after(run, model) == "My trip"
    assert len(model.asked) == 1, "a renamed conversation is not asked about"


async def test_a_deleted_conversation_stays_deleted_without_a_title(alice: User) -> None:
    run = await in_db(answer, alice)
    model = TitleModel("Too late", before=lambda: listing.delete(alice.pk, run.conversation_id))
    assert await title_after(run, model) == title_from(QUESTION)


@pytest.mark.parametrize("said", ["", " \n---\n"])
async def test_nothing_said_leaves_the_words_of_the_question(alice: User, said: str) -> None:
    assert await title_after(await in_db(answer, alice), TitleModel(said)) == title_from(QUESTION)


async def test_a_failure_leaves_them_too_and_is_billed_to_the_site(alice: User) -> None:
    run = await in_db(answer, alice)
    assert await title_after(run, TitleModel("Half a", fails=True)) == title_from(QUESTION)
    entry = await in_db(UsageEntry.objects.get, user=None)
    assert entry.estimated
    assert entry.input_tokens > 50


async def test_thinking_that_was_never_closed_is_no_title(alice: User) -> None:
    run = await in_db(answer, alice)
    assert await title_after(run, TitleModel("Let me think of a title.")) == title_from(QUESTION)


@pytest.mark.usefixtures("no_rules")
async def test_the_sites_rules_hold_for_titles_too(alice: User) -> None:
    """What a rule for names or for answers masks is replaced; a title that one blocks is not used."""
    await in_db(add_rule, "mask", "badger", ["named"])
    await in_db(add_rule, "block", "xylophone", ["answered"])
    assert await title_after(await in_db(answer, alice), TitleModel("The badger")) == "The ***"
    assert await title_after(await in_db(answer, alice), TitleModel("The xylophone")) == title_from(QUESTION)
