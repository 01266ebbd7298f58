"""A model names a conversation after its first answer: once, never over a person's title, at the site's expense."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from typing import Any, cast

import pytest

from accounts.lib.db import in_db
from accounts.models import Unit, UsageEntry, User
from chat.conversations import changing
from chat.models import Conversation, RunStatus, ShareLink
from chat.models.conversations import title_from
from chat.models.moderation import Action, Direction
from chat.moderation.rewriting import rewrite_message
from chat.runs.claims import claim
from chat.runs.context import ClaimedRun
from chat.runs.ending import Ending, end_run
from chat.shares.links import Wanted, create_share
from tests.fixtures.judged_runs import ScriptedJudge, definition, finds, is_away, panel_of
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
        changing.rename(alice.pk, run.conversation_id, "My trip")

    model.before = rename  # while the model is writing
    assert await title_after(run, model) == "My trip"
    assert await title_after(run, model) == "My trip"
    assert len(model.asked) == 1, "a renamed conversation is not asked about"


async def test_a_deleted_conversation_stays_deleted_without_a_title(alice: User) -> None:
    run = await in_db(answer, alice)
    model = TitleModel("Too late", before=lambda: changing.delete(alice.pk, run.conversation_id))
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


@pytest.mark.parametrize("which", ["question", "answer"])
async def test_a_title_is_withdrawn_with_the_text_it_was_made_of(alice: User, layer: None, which: str) -> None:
    run = await in_db(answer, alice)
    link, _ = await in_db(create_share, alice.pk, run.conversation_id, Wanted())
    assert await title_after(run, TitleModel("A canary flies")) == "A canary flies"
    await in_db(ShareLink.objects.filter(pk=link.pk).update, title="A canary flies")
    withheld = run.prompt_id if which == "question" else run.message_id
    await in_db(lambda: rewrite_message(withheld, "", {"action": "block", "reason": "No.", "case_id": ""}))
    conversation = await in_db(Conversation.objects.get, pk=run.conversation_id)
    assert conversation.title == ("" if which == "question" else title_from(QUESTION))
    assert conversation.written_title == ""
    assert (await in_db(ShareLink.objects.get, pk=link.pk)).title == conversation.title


async def test_a_title_stays_when_a_later_text_is_withheld_or_a_person_has_chosen_it(alice: User, layer: None) -> None:
    first = await in_db(answer, alice)
    later = await in_db(answer, alice, first.conversation_id, "And back?")
    assert await title_after(first, TitleModel("By train")) == "By train"
    await in_db(lambda: rewrite_message(later.message_id, "", {"action": "block"}))
    assert (await in_db(Conversation.objects.get, pk=first.conversation_id)).title == "By train"
    await in_db(changing.rename, alice.pk, first.conversation_id, "My trip")
    await in_db(lambda: rewrite_message(first.message_id, "", {"action": "block"}))
    assert (await in_db(Conversation.objects.get, pk=first.conversation_id)).title == "My trip"


async def test_no_title_is_made_of_a_text_that_is_withheld_meanwhile(alice: User, layer: None) -> None:
    run = await in_db(answer, alice)

    def withhold() -> None:
        rewrite_message(run.message_id, "By", {"action": "block"}, publish=False)

    assert await title_after(run, TitleModel("A canary flies", before=withhold)) == title_from(QUESTION)


@pytest.mark.parametrize(("says", "paid"), [(finds("canary"), True), (is_away, False)], ids=["hit", "closed, away"])
async def test_a_judge_can_refuse_a_title(alice: User, says: Any, paid: bool) -> None:
    run = await in_db(answer, alice)
    judges = panel_of(ScriptedJudge(says), definition(Action.FLAG, Direction.ANSWERED, closed=True))
    model = TitleModel("A canary flies")
    await TitleWriter(cast("Any", model), judges=judges).write(run)
    assert (await in_db(Conversation.objects.get, pk=run.conversation_id)).title == title_from(QUESTION)
    assert await in_db(UsageEntry.objects.filter(purpose="moderation").exists) is paid


async def test_a_judge_that_finds_nothing_lets_a_title_pass(alice: User) -> None:
    run = await in_db(answer, alice)
    judges = panel_of(ScriptedJudge(finds("canary")), definition(Action.BLOCK, Direction.ANSWERED))
    await TitleWriter(cast("Any", TitleModel("By train")), judges=judges).write(run)
    assert (await in_db(Conversation.objects.get, pk=run.conversation_id)).title == "By train"
