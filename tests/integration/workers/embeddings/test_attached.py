"""Files of messages that are too long for the model: their parts are found by meaning, too, and answers never hang."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator
from decimal import Decimal
from typing import Any

import pytest

from accounts.lib.db import in_db
from accounts.models import Quota, Unit, User
from chat.conversations.file_removal import delete_file
from chat.models import Embedding, EmbeddingState, File, PassageVectors
from tests.conftest import make_user
from tests.fixtures.tool_runs import ScriptedModel, says, worker_with
from tests.integration.workers.embeddings.conftest import Embeddings, embedding_of, known_file, ledger
from tests.integration.workers.files.test_giving import Window, ask, question, used
from tests.integration.workers.files.test_knowledge import collection
from workers.files import wanted_vectors
from workers.files.wanted_vectors import LONG_CHARS

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("one_model", "no_rules", "layer")]

FILLING = "Words go on and on and nothing is said with them. " * 30
PAGES = [f"Page{at}. {FILLING}" for at in range(1, 20)]
LEAVE = "Everybody has thirty leave time each year, leave time is paid leave. " * 8  # to the server, vacation is leave
ASKED = "vacation days holidays vacation"


@pytest.fixture
async def book(alice: User) -> File:
    """A file of twenty pages, of which the last says in other words what is asked."""
    return await known_file(alice, "book.pdf", *PAGES, LEAVE)


@contextlib.asynccontextmanager
async def a_working_worker(embeddings: Embeddings) -> AsyncGenerator[None]:
    """Makes vectors beside the answer, as a worker does."""

    async def _work() -> None:
        while True:
            await embeddings.work()
            await asyncio.sleep(0.05)

    task = asyncio.create_task(_work())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def asked(turn: Any, embeddings: Embeddings | None) -> str:
    """What the model gets with the question."""
    worker = worker_with()
    worker.more["models"] = Window(1_500)
    if embeddings is not None:
        worker.more["embedders"] = embeddings.sync
    model = ScriptedModel(says("Thirty."))
    await worker.write(turn, model)
    return question(model).content


async def test_a_page_that_says_it_in_other_words_is_found(
    alice: User, book: File, embeddings: Embeddings, settings: Any
) -> None:
    settings.EMBEDDING_WAIT_SECONDS = 0.0
    assert "[page 20]" not in await asked(await ask(alice, ASKED, book), None)
    await embeddings.work()
    turn = await ask(alice, ASKED, await in_db(lambda: File.objects.create(blob=book.blob, owner=alice, name="a.pdf")))
    got = await asked(turn, embeddings)
    assert "[page 20]" in got
    assert "[page 3]" not in got
    assert await used(turn) == [("passages", 1, 20, "")]


async def test_words_and_meaning_count_together(alice: User, book: File, embeddings: Embeddings) -> None:
    await embeddings.work()
    got = await asked(await ask(alice, f"Page7 {ASKED}", book), embeddings)
    assert "[page 7]" in got
    assert "[page 20]" in got


async def test_vectors_are_made_when_a_long_file_was_read(alice: User, embeddings: Embeddings) -> None:
    long = await known_file(alice, "long.txt", *PAGES)
    await known_file(alice, "short.txt", "x" * (LONG_CHARS - 1))
    await embeddings.work()
    assert (await embedding_of(long)).state == EmbeddingState.DONE
    assert await in_db(Embedding.objects.count) == 1
    assert {one[0] for one in await ledger()} == {alice.pk}


async def test_an_answer_waits_for_vectors_that_are_being_made(
    alice: User, book: File, embeddings: Embeddings, settings: Any
) -> None:
    settings.EMBEDDING_WAIT_SECONDS = 60.0
    turn = await ask(alice, ASKED, book)
    async with a_working_worker(embeddings):
        assert "[page 20]" in await asked(turn, embeddings)
    assert await used(turn) == [("passages", 1, 20, "")]


async def test_but_not_longer_than_it_may_and_says_what_it_did(
    alice: User, book: File, embeddings: Embeddings, settings: Any
) -> None:
    settings.EMBEDDING_WAIT_SECONDS = 0.3
    embeddings.server.answers_left = 0  # it hangs
    turn, other = await ask(alice, "Page7?", book), await ask(alice, ASKED, await again(book))
    async with a_working_worker(embeddings):
        assert "[page 7]" in await asked(turn, embeddings)
        assert "[page 1]" in await asked(other, embeddings)
    assert [(kind, reason) for kind, _, _, reason in await used(turn)] == [("passages", "not_embedded")]
    assert [(kind, reason) for kind, _, _, reason in await used(other)] == [("passages", "no_words")]


async def test_nor_for_vectors_that_something_holds_up(
    alice: User, book: File, embeddings: Embeddings, settings: Any
) -> None:
    settings.EMBEDDING_WAIT_SECONDS = 3_600.0
    quota = await in_db(
        lambda: Quota.objects.create(user=alice, unit=Unit.INPUT_TOKENS, period="day", limit=Decimal(0))
    )
    await embeddings.work()
    assert (await embedding_of(book)).reason == "quota"
    await in_db(quota.delete)
    began = time.monotonic()
    turn = await ask(alice, "Page7?", book)
    assert "[page 7]" in await asked(turn, embeddings)
    assert time.monotonic() - began < 3_600.0
    assert [reason for *_, reason in await used(turn)] == ["not_embedded"]


async def test_a_question_without_a_vector_is_looked_up_by_words(
    alice: User, book: File, embeddings: Embeddings
) -> None:
    await embeddings.work()
    embeddings.server.misbehaves("error")
    turn = await ask(alice, "Page7?", book)
    assert "[page 7]" in await asked(turn, embeddings)
    assert [reason for *_, reason in await used(turn)] == ["words_only"]


async def test_a_file_that_is_short_or_old_gets_vectors_once_it_is_too_long_for_a_model(
    alice: User, book: File, embeddings: Embeddings, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.EMBEDDING_WAIT_SECONDS = 0.0
    monkeypatch.setattr(wanted_vectors, "NEW_SECONDS", -60)
    await embeddings.work()
    assert embeddings.server.requests == []
    await asked(await ask(alice, "Page7?", book), embeddings)
    await embeddings.work()
    assert (await embedding_of(book)).state == EmbeddingState.DONE
    assert "[page 20]" in await asked(await ask(alice, ASKED, await again(book)), embeddings)


async def test_another_model_makes_new_ones_anew_and_forgets_old_ones(
    alice: User, book: File, embeddings: Embeddings, monkeypatch: pytest.MonkeyPatch
) -> None:
    await embeddings.work()
    before = (await embedding_of(book)).model_key
    await embeddings.change(model="large")
    await embeddings.work()
    assert (await embedding_of(book)).model_key != before
    monkeypatch.setattr(wanted_vectors, "NEW_SECONDS", -60)
    await embeddings.change(model="small")
    await embeddings.work()
    assert not await in_db(Embedding.objects.exists)
    assert not await in_db(PassageVectors.objects.exists)


async def test_the_owner_of_a_collection_pays_before_others(alice: User, book: File, embeddings: Embeddings) -> None:
    bob = await in_db(make_user, "bob@example.org")
    shared = await in_db(lambda: File.objects.create(blob=book.blob, owner=bob, name="b.pdf"))
    await collection(bob, shared)
    await embeddings.work()
    assert {one[0] for one in await ledger()} == {bob.pk}


async def test_a_deleted_file_leaves_no_vectors(
    alice: User, book: File, embeddings: Embeddings, django_capture_on_commit_callbacks: Any
) -> None:
    await embeddings.work()
    assert await in_db(PassageVectors.objects.exists)
    await in_db(delete_file, alice.pk, book.pk)
    assert not await in_db(PassageVectors.objects.exists)
    assert not await in_db(Embedding.objects.exists)


async def again(file: File) -> File:
    """The same content once more, as "use again" makes it."""
    return await in_db(lambda: File.objects.create(blob_id=file.blob_id, owner_id=file.owner_id, name=file.name))
