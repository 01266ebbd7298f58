"""Answers from collections with an embedding model: what is found, what is said where it is away, who pays."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group

from accounts.lib.db import in_db
from accounts.models import Price, UsageEntry, User
from chat.conversations.own_collections import remove_from_collection
from chat.models import Collection, Embedding, File, PassageVectors
from tests.conftest import make_user
from tests.fakes.embedding_server import MISBEHAVIOURS
from tests.fixtures.tool_runs import ScriptedModel, says, worker_with
from tests.integration.workers.embeddings.conftest import Embeddings, known_file, ledger
from tests.integration.workers.files.test_giving import Window, question
from tests.integration.workers.files.test_knowledge import asked, collection, shown_run
from workers.embeddings.wire import EmbeddingError
from workers.providers.circuit_breaker import FAILURES

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("one_model", "no_rules", "layer")]

FILLING = "Words go on and on and nothing is said with them. " * 30
PAGES = [f"Page{at}. {FILLING}" for at in range(1, 20)]
# To the server, vacation is leave.
LEAVE = "Everybody has thirty leave time each year, leave time is paid leave. " * 8
ASKED = "vacation days holidays vacation"
WORDS_ONLY = "The embedding model could not be reached, so it was searched by words only. Ask again in a moment."
NOT_ALL = "Some of its files were searched by words only, because they are still being prepared."


@pytest.fixture
async def handbook(alice: User) -> Collection:
    """A file of twenty pages, of which the last says in other words what is asked, and a text."""
    long = await known_file(alice, "long.pdf", *PAGES, LEAVE)
    return await collection(alice, long, await known_file(alice, "a.txt", "The crocodile waits. " * 400))


async def answer(turn: Any, embeddings: Embeddings | None) -> str:
    """What the model gets with the question."""
    worker = worker_with()
    worker.more["models"] = Window(1_500)
    if embeddings is not None:
        worker.more["embedders"] = embeddings.sync
    model = ScriptedModel(says("It is there [1]."))
    await worker.write(turn, model)
    return question(model).content


async def test_a_question_finds_what_says_it_in_other_words(
    alice: User, handbook: Collection, embeddings: Embeddings
) -> None:
    got = await answer(await asked(alice, ASKED, handbook), None)
    assert "no passage in them has words of the question" in got
    await embeddings.work()
    turn = await asked(alice, ASKED, handbook)
    got = await answer(turn, embeddings)
    assert "long.pdf, page 20" in got
    assert "page 3" not in got
    run = await shown_run(turn, alice)
    [source] = run["sources"]
    assert (source["title"], source["label"]) == ("long.pdf", "page 20")
    [said] = run["files"]
    assert (said["use"], "reason" in said) == ("passages", False)


async def test_a_model_that_gets_nothing_in_meaning_reads_how_it_was_searched(
    alice: User, handbook: Collection, embeddings: Embeddings
) -> None:
    await embeddings.work()
    got = await answer(await asked(alice, "Zusammenfassung?", handbook), embeddings)
    assert "no passage in them has words of the question or is close to it in meaning." in got
    await in_db(lambda: Embedding.objects.filter(blob__files__name="a.txt").update(state="pending", reason="quota"))
    got = await answer(await asked(alice, "Zusammenfassung?", handbook), embeddings)
    assert "is close to it in meaning, and not all of them could be searched by meaning yet." in got


async def test_words_and_vectors_count_together(alice: User, handbook: Collection, embeddings: Embeddings) -> None:
    await embeddings.work()
    got = await answer(await asked(alice, f"crocodile {ASKED}", handbook), embeddings)
    assert "long.pdf, page 20" in got
    assert "The crocodile waits." in got


async def test_a_question_is_paid_by_whoever_asks_and_files_by_their_owner(
    alice: User, handbook: Collection, embeddings: Embeddings
) -> None:
    await in_db(lambda: Price.objects.create(model="small", input_per_million=10, output_per_million=0))
    await embeddings.work()
    made_ = await ledger()
    assert {(one[0], one[1], one[3]) for one in made_} == {(alice.pk, "small", False)}
    assert sum(one[2] for one in made_) == sum(len(text.split()) for text in embeddings.server.texts)
    turn = await asked(alice, ASKED, handbook)
    await answer(turn, embeddings)
    entry = await in_db(UsageEntry.objects.filter(purpose="embedding").latest, "at")
    assert (entry.user_id, entry.conversation_id, entry.input_tokens) == (alice.pk, turn.conversation_id, 4)
    assert entry.cost is not None
    assert float(entry.cost) == pytest.approx(4 * 10 / 1e6)


async def test_tokens_are_estimated_where_the_endpoint_does_not_say(
    alice: User, handbook: Collection, embeddings: Embeddings
) -> None:
    embeddings.server.usage = False
    await embeddings.work()
    assert all(estimated and tokens > 0 for _, _, tokens, estimated in await ledger())


@pytest.mark.parametrize("how", MISBEHAVIOURS)
async def test_a_question_without_a_vector_is_looked_up_by_words_and_the_answer_says_so(
    alice: User, handbook: Collection, embeddings: Embeddings, how: str
) -> None:
    await embeddings.work()
    before = await ledger()
    if how == "never":
        await embeddings.change(timeout=0.2)
    embeddings.server.misbehaves(how)
    turn = await asked(alice, "What about the crocodile?", handbook)
    assert "The crocodile waits." in await answer(turn, embeddings)
    shown = await shown_run(turn, alice)
    if how == "short":  # a model that was exchanged behind its name: its vectors have another length
        assert [one.get("reason") for one in shown["files"] if one["use"] == "collection"] == [NOT_ALL]
        assert len(await ledger()) == len(before) + 1
    else:
        assert [one.get("reason") for one in shown["files"] if one["use"] == "collection"] == [WORDS_ONLY]
        assert await ledger() == before


async def test_a_server_that_fails_again_and_again_is_left_alone(
    alice: User, handbook: Collection, embeddings: Embeddings, settings: Any
) -> None:
    await embeddings.work()
    settings.MODEL_RETRY_SECONDS = 3_600.0
    await embeddings.change(timeout=4.0)  # another definition has a circuit breaker of its own
    embeddings.server.misbehaves("error")
    assert embeddings.sync.current is not None
    for _ in range(FAILURES):
        with pytest.raises(EmbeddingError):
            await embeddings.sync.current.embed_question("crocodile?")
    count = len(embeddings.server.requests)
    turn = await asked(alice, "crocodile?", handbook)
    assert "The crocodile waits." in await answer(turn, embeddings)
    await embeddings.work()
    assert len(embeddings.server.requests) == count


async def test_texts_that_fit_whole_need_no_vector(alice: User, embeddings: Embeddings) -> None:
    text = await known_file(alice, "a.txt", "The crocodile waits.")
    assert "The crocodile waits." in await answer(await asked(alice, "Who?", await collection(alice, text)), embeddings)
    assert embeddings.server.requests == []


async def test_a_deleted_file_is_not_found_any_more(
    alice: User, handbook: Collection, embeddings: Embeddings, django_capture_on_commit_callbacks: Any
) -> None:
    await embeddings.work()
    pdf = await in_db(File.objects.get, name="long.pdf")
    await in_db(remove_from_collection, alice.pk, handbook.pk, pdf.pk)
    got = await answer(await asked(alice, ASKED, handbook), embeddings)
    assert "leave" not in got
    assert not await in_db(PassageVectors.objects.filter(blob=pdf.blob_id).exists)
    assert not await in_db(Embedding.objects.filter(blob=pdf.blob_id).exists)


async def test_who_cannot_use_a_collection_finds_nothing_in_it(
    alice: User, handbook: Collection, embeddings: Embeddings
) -> None:
    await embeddings.work()
    bob = await in_db(make_user, "bob@example.org")
    group = await in_db(Group.objects.create, name="staff")
    await in_db(group.user_set.add, alice, bob)
    await in_db(handbook.groups.add, group)
    turn = await asked(bob, ASKED, handbook)
    await in_db(group.user_set.remove, bob)
    requests = len(embeddings.server.requests)
    assert "leave" not in await answer(turn, embeddings)
    assert len(embeddings.server.requests) == requests  # nothing to look in, so the question went nowhere
