"""Titles and summaries read a conversation: a fallback gets it only with a model that whoever asked may use."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Generator
from typing import Any

import pytest
from django.contrib.auth.models import Group

from accounts.lib.db import in_db
from accounts.models import UsageEntry, User
from chat.catalog.access import clear_rules_cache
from chat.conversations.titles import title_from
from chat.models import Conversation, KnownModel, RunStatus, Summary
from chat.runs.claims import claim
from chat.runs.context import ClaimedRun
from chat.runs.ending import Ending, end_run
from tests.fakes.openai_server import FakeOpenAI
from tests.fixtures.run_rows import say
from workers.generation.request_context import NothingKnown
from workers.generation.summaries import SummaryWriter
from workers.generation.titles import TitleWriter
from workers.providers.config import Definition
from workers.providers.discovery import make_client
from workers.providers.router import ModelRouter

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("one_model", "clean_redis")]

SPARE = "spare"
QUESTION = "Which trains go from Berlin to Rome?"


@pytest.fixture
def spare() -> Generator[FakeOpenAI, None, None]:
    with FakeOpenAI(models=[SPARE]) as server:
        yield server


@pytest.fixture
def router(spare: FakeOpenAI) -> ModelRouter:
    """Its first endpoint is down; the other one answers with `SPARE` instead."""
    found = ModelRouter(make_client, 10.0)
    found.set_endpoints(
        [
            Definition(
                id="a", name="a", base_url="http://127.0.0.1:1/v1", models=(("demo", "Demo"),),
                fallback="b", fallback_model=SPARE,
            ),
            Definition(id="b", name="b", base_url=spare.url, offered=False),
        ]
    )  # fmt: skip
    return found


@pytest.fixture
def limit(db: None) -> Generator[Callable[..., None], None, None]:
    def limit_spare(*users: User) -> None:
        """Limits `SPARE` to a group of these users."""
        group = Group.objects.create(name="crew")
        for user in users:
            user.groups.add(group)
        KnownModel.objects.create(name=SPARE, limited=True).groups.add(group)
        clear_rules_cache()

    yield limit_spare
    clear_rules_cache()


def answer(user: User, conversation: uuid.UUID | None = None, text: str = QUESTION) -> ClaimedRun:
    accepted = say(user, text, conversation)
    claimed = claim(accepted.run_id, "worker")
    assert claimed is not None
    assert end_run(accepted.run_id, 1, RunStatus.DONE, Ending("By train. " * 200), owner="worker") is not None
    return claimed.run


@pytest.mark.parametrize("theirs", [True, False])
async def test_a_title_by_a_fallback(
    alice: User, router: ModelRouter, spare: FakeOpenAI, limit: Callable[..., None], theirs: bool, settings: Any
) -> None:
    settings.TITLE_MODEL = "same"
    await in_db(limit, *([alice] if theirs else []))
    run = await in_db(answer, alice)
    try:
        await TitleWriter(router).write(run)
    finally:
        await router.close()
    title = (await in_db(Conversation.objects.get, pk=run.conversation_id)).title
    assert (len(spare.chats), title != title_from(QUESTION)) == (int(theirs), theirs)
    assert await in_db(UsageEntry.objects.filter(purpose="title").count) == int(theirs)


@pytest.mark.parametrize("theirs", [True, False])
async def test_a_summary_by_a_fallback(
    alice: User, router: ModelRouter, spare: FakeOpenAI, limit: Callable[..., None], theirs: bool, settings: Any
) -> None:
    settings.SUMMARY_MODEL = "same"
    settings.MODEL_CONTEXT_TOKENS = 1_500
    await in_db(limit, *([alice] if theirs else []))
    run = await in_db(answer, alice)
    for number in range(3):
        run = await in_db(answer, alice, run.conversation_id, f"{number}: and then?")
    try:
        await SummaryWriter(router, NothingKnown()).write(run)
    finally:
        await router.close()
    assert (bool(spare.chats), await in_db(Summary.objects.exists)) == (theirs, theirs)
