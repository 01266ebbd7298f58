"""Vectors are made in the background: once, also where workers die, models change and contents are deleted."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest
from django.db import connection

from accounts.lib.db import in_db
from accounts.models import Quota, Unit, User
from accounts.quotas.settlement import Used
from chat.conversations.own_collections import remove_from_collection
from chat.models import Collection, Embedding, EmbeddingState, File, FileText, PassageVectors
from tests.fakes.embedding_server import MISBEHAVIOURS
from tests.integration.workers.embeddings.conftest import Embeddings, embedding_of, known_file, ledger, stored_passages
from tests.integration.workers.files.test_knowledge import collection
from workers.embeddings.client import PASSAGES_SECONDS
from workers.files import embedding_jobs, embedding_rows, wanted_vectors

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("no_rules", "layer")]

TEXT = " ".join(f"Word{at} of a long text that goes on." for at in range(2_000))
PARTS = [TEXT[at : at + 6_000] for at in range(0, len(TEXT), 6_000)]


@pytest.fixture
async def book(alice: User) -> File:
    """A text of about fifty passages, in a collection."""
    file = await known_file(alice, "book.txt", *PARTS)
    await collection(alice, file)
    return file


def expire() -> None:
    """The claims of workers that are gone run out."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE chat_embedding SET claimed_until = clock_timestamp() - interval '1 second'")


async def test_each_passage_gets_a_vector_once(book: File, embeddings: Embeddings) -> None:
    await embeddings.work()
    made = await embedding_of(book)
    assert (made.state, made.dimensions, made.passages) == (EmbeddingState.DONE, 64, await stored_passages())
    assert made.passages == len(embeddings.server.texts) == len(set(embeddings.server.texts)) > 40
    assert max(map(len, (one["input"] for one in embeddings.server.requests))) == embedding_jobs.TEXTS_AT_ONCE
    await embeddings.work()
    assert made.passages == len(embeddings.server.texts)


async def test_two_workers_make_nothing_twice(alice: User, embeddings: Embeddings) -> None:
    files = [await known_file(alice, f"{at}.txt", *(f"{at}. {one}" for one in PARTS[at::5])) for at in range(4)]
    await collection(alice, *files)
    embeddings.server.delay = 0.05
    await asyncio.gather(embeddings.work(), embeddings.work(), embeddings.work())
    await embeddings.work()
    assert len(embeddings.server.texts) == len(set(embeddings.server.texts)) == await stored_passages()
    assert len(await ledger()) == len(embeddings.server.requests)


async def test_prefixes_and_dimensions(book: File, embeddings: Embeddings) -> None:
    await embeddings.change(passage_prefix="passage:", dimensions=32)
    await embeddings.work()
    assert all(text.startswith("passage: ") for text in embeddings.server.texts)
    assert {one["dimensions"] for one in embeddings.server.requests} == {32}
    assert (await embedding_of(book)).dimensions == 32


@pytest.mark.parametrize("how", [one for one in MISBEHAVIOURS if one not in ("never", "short")])
async def test_vectors_that_do_not_come_are_asked_for_again(book: File, embeddings: Embeddings, how: str) -> None:
    embeddings.server.misbehaves(how)
    await embeddings.work()
    waits = await embedding_of(book)
    assert (waits.state, waits.attempts, bool(waits.reason)) == (EmbeddingState.PENDING, 0, True)
    assert await stored_passages() == 0
    assert await ledger() == []
    embeddings.server.misbehaves(None)
    await in_db(expire)
    await embeddings.work()
    assert (await embedding_of(book)).state == EmbeddingState.DONE


async def test_a_server_that_never_answers(book: File, embeddings: Embeddings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert PASSAGES_SECONDS < embedding_rows.CLAIM_SECONDS  # or another worker would begin beside this one
    monkeypatch.setattr("workers.embeddings.client.PASSAGES_SECONDS", 0.2)
    embeddings.server.misbehaves("never")
    await embeddings.work()
    assert (await embedding_of(book)).reason == "embedding_timeout"


async def test_a_worker_that_is_lost_has_its_content_continued_and_pays_nothing_twice(
    book: File, embeddings: Embeddings
) -> None:
    key = embeddings.sync.current.definition.key  # type: ignore[union-attr]
    await in_db(wanted_vectors.mark_wanted, key)
    lost = await in_db(embedding_rows.claim_content, key, "small")
    assert lost is not None
    first = lost.pieces[:5]
    used = Used("small", "somewhere", input_tokens=50)
    assert await in_db(embedding_rows.store, lost, first, [b"\x01" * 64] * 5, used)
    await in_db(expire)
    await embeddings.work()
    made = await embedding_of(book)
    assert (made.state, made.passages) == (EmbeddingState.DONE, len(lost.pieces))
    assert not {piece.text for piece in first} & set(embeddings.server.texts)
    # The lost one comes back: it stores nothing any more, and nothing is charged.
    entries = await ledger()
    assert not await in_db(embedding_rows.store, lost, lost.pieces[5:6], [b"\x01" * 64], used)
    assert not await in_db(embedding_rows.finish, lost)
    assert await ledger() == entries
    assert entries[0][2] == 50
    assert len(entries) == 1 + len(embeddings.server.requests)


async def test_a_content_that_kills_workers_is_given_up(book: File, embeddings: Embeddings) -> None:
    key = embeddings.sync.current.definition.key  # type: ignore[union-attr]
    await in_db(wanted_vectors.mark_wanted, key)
    for _ in range(embedding_rows.MAX_ATTEMPTS):
        assert await in_db(embedding_rows.claim_content, key, "small") is not None
        await in_db(expire)
    await embeddings.work()
    given_up = await embedding_of(book)
    assert (given_up.state, given_up.reason) == (EmbeddingState.FAILED, "attempts")
    assert embeddings.server.requests == []


async def test_another_model_makes_them_anew(book: File, embeddings: Embeddings) -> None:
    await embeddings.work()
    before = len(embeddings.server.texts)
    await embeddings.change(model="large")
    embeddings.server.dimensions = 128
    await embeddings.work()
    made = await embedding_of(book)
    assert (made.state, made.dimensions, made.passages) == (EmbeddingState.DONE, 128, before)
    assert len(embeddings.server.texts) == 2 * before
    assert await stored_passages() == before


async def test_text_that_is_recognised_later_gets_vectors_too(book: File, embeddings: Embeddings) -> None:
    await embeddings.work()
    before = len(embeddings.server.texts)

    def _more() -> None:
        FileText.objects.create(blob=book.blob, position=10_000, label="page 2, recognised text", text="A late word.")
        type(book.blob).objects.filter(pk=book.blob_id).update(characters=book.blob.characters + 12)

    await in_db(_more)
    await embeddings.work()
    assert embeddings.server.texts[before:] == ["A late word."]
    assert (await embedding_of(book)).passages == before + 1


async def test_passages_that_are_refused_as_too_long_are_shortened(book: File, embeddings: Embeddings) -> None:
    embeddings.server.refuses = lambda text: len(text) > 900
    await embeddings.work()
    made = await embedding_of(book)
    assert (made.state, made.passages) == (EmbeddingState.DONE, await stored_passages())
    assert max(map(len, embeddings.server.texts)) <= 900


async def test_a_passage_that_is_refused_for_good_is_found_by_words(book: File, embeddings: Embeddings) -> None:
    embeddings.server.refuses = lambda text: "Word7 " in text
    await embeddings.work()
    made = await embedding_of(book)
    assert (made.state, made.reason) == (EmbeddingState.DONE, "partly")
    assert made.passages == await stored_passages()


async def test_a_server_that_refuses_everything_is_not_the_contents_fault(book: File, embeddings: Embeddings) -> None:
    embeddings.server.refuses = lambda _text: True
    await embeddings.work()
    waits = await embedding_of(book)
    assert (waits.state, waits.reason) == (EmbeddingState.PENDING, "embedding_refused")


async def test_who_has_no_quota_left_waits(alice: User, book: File, embeddings: Embeddings) -> None:
    quota = await in_db(
        lambda: Quota.objects.create(user=alice, unit=Unit.INPUT_TOKENS, period="day", limit=Decimal(0))
    )
    await embeddings.work()
    assert ((await embedding_of(book)).reason, embeddings.server.requests) == ("quota", [])
    await in_db(quota.delete)
    await in_db(expire)
    await embeddings.work()
    assert (await embedding_of(book)).state == EmbeddingState.DONE


async def test_a_content_that_is_deleted_meanwhile_leaves_nothing(
    alice: User, book: File, embeddings: Embeddings
) -> None:
    embeddings.server.answers_left = 0
    working = asyncio.create_task(embeddings.work())
    while not embeddings.server.requests:
        await asyncio.sleep(0.01)
    chosen = await in_db(Collection.objects.get)
    await in_db(remove_from_collection, alice.pk, chosen.pk, book.pk)
    embeddings.server.answers_left = None
    await working
    assert not await in_db(Embedding.objects.exists)
    assert not await in_db(PassageVectors.objects.exists)
    assert await ledger() == []


async def test_without_an_embedding_model_nothing_waits(book: File, embeddings: Embeddings) -> None:
    embeddings.server.misbehaves("error")
    await embeddings.work()
    await embeddings.change(enabled=False)
    await embeddings.work()
    assert not await in_db(Embedding.objects.exists)
