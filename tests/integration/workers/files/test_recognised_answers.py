"""What models get of text that was recognised in pictures and scans, and what people are told of it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from accounts.lib.db import in_db
from accounts.models import User
from chat.models import File
from chat.models.moderation import Direction, ModerationRule
from chat.moderation.rules import clear_rules_cache as clear_moderation
from chat.templatetags.chat_files import file_words, use_words
from tests import made_files as made
from tests.fixtures.recognisers import NAMED
from tests.fixtures.tool_runs import ScriptedModel, says, worker_with
from tests.integration.workers.files.conftest import Keep
from tests.integration.workers.files.test_giving import Window, answer, ask, question, ready, used
from tests.integration.workers.files.test_knowledge import asked, collection, shown_run
from workers.files import jobs
from workers.files.jobs import ReadingJobs
from workers.files.recognising import recognise_blob
from workers.providers.base import ChatTurn

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("one_model", "no_rules", "layer")]
BLIND, SEEING = Window(32_000, sees=False), Window(32_000, sees=True)


@pytest.fixture(autouse=True)
def recogniser(settings: Any) -> None:
    settings.OCR = f"{NAMED}.Reads"


async def recognised(file: File) -> File:
    await ready(file)
    assert await in_db(recognise_blob, file.blob_id)
    return file


async def picture(alice: User, keep: Keep) -> File:
    return await in_db(keep, alice, made.image((400, 300), "PNG"), "sign.png", "image", "image/png")


async def scan(alice: User, keep: Keep, pages: int = 2) -> File:
    return await in_db(keep, alice, made.pdf([""] * pages), "scan.pdf", "pdf", "application/pdf")


def first_question(model: ScriptedModel) -> ChatTurn:
    return next(one for one in model.asked[0] if one.role == "user")


async def test_a_model_that_does_not_see_gets_the_text_and_its_mark(alice: User, keep: Keep) -> None:
    turn = await ask(alice, "Who came?", await recognised(await picture(alice, keep)))
    got = question(await answer(turn, BLIND))
    assert "[recognised text]\nThe heron came to pond 1\nand left again." in got.content
    assert not got.images
    assert await used(turn) == [("full", 1, 1, "recognised")]
    [shown] = (await shown_run(turn, alice))["files"]
    assert use_words(shown) == "all of sign.png (Its text was recognised and can have mistakes.)"


async def test_a_model_that_sees_gets_the_image_alone(alice: User, keep: Keep) -> None:
    turn = await ask(alice, "Who came?", await recognised(await picture(alice, keep)))
    got = question(await answer(turn, SEEING))
    assert len(got.images) == 1
    assert "heron" not in got.content
    assert await used(turn) == [("image", 1, 1, "")]


async def test_the_pages_of_a_scan(alice: User, keep: Keep) -> None:
    file = await recognised(await scan(alice, keep))
    turn = await ask(alice, "Who came?", file)
    got = question(await answer(turn, BLIND))
    assert "[page 2, recognised text]\nThe heron came to pond 2" in got.content
    assert await used(turn) == [("full", 2, 2, "recognised")]
    again = await ask(alice, "And now?", conversation_id=turn.conversation_id)
    got = first_question(await answer(again, SEEING))
    assert (len(got.images), "heron" in got.content) == (2, False)


async def test_of_a_long_scan_the_pages_that_fit_the_question(alice: User, keep: Keep, settings: Any) -> None:
    settings.OCR = f"{NAMED}.ReadsMuch"
    turn = await ask(alice, "What about number7?", await recognised(await scan(alice, keep, 12)))
    got = question(await answer(turn, Window(1_500, sees=False)))
    assert "[page 7, recognised text]" in got.content
    assert "[page 12, recognised text]" not in got.content
    [(kind, _given, total, reason)] = await used(turn)
    assert (kind, total, reason) == ("passages", 12, "recognised")


async def test_a_page_of_text_and_a_scanned_one(alice: User, keep: Keep) -> None:
    words = "This page has text of its own, enough of it."
    file = await in_db(keep, alice, made.pdf([words, ""]), "mixed.pdf", "pdf", "application/pdf")
    await recognised(file)
    turn = await ask(alice, "Who came?", file)
    blind = question(await answer(turn, BLIND))
    assert (words in blind.content, "heron" in blind.content, len(blind.images)) == (True, True, 0)
    again = await ask(alice, "And now?", conversation_id=turn.conversation_id)
    seeing = first_question(await answer(again, SEEING))
    assert (words in seeing.content, "heron" in seeing.content, len(seeing.images)) == (True, False, 1)


async def test_an_answer_waits_for_it_only_where_the_model_does_not_see(alice: User, keep: Keep) -> None:
    file = await ready(await picture(alice, keep))
    first = await ask(alice, "Who came?", file)
    assert len(question(await answer(first, SEEING)).images) == 1
    turn = await ask(alice, "And now?", conversation_id=first.conversation_id)
    worker, model = worker_with(), ScriptedModel(says("Well."))
    worker.more["models"] = BLIND
    writing = await worker.begin(turn, model)
    await asyncio.sleep(0.2)
    assert not model.asked
    await in_db(recognise_blob, file.blob_id)
    await writing
    await worker.close()
    assert "The heron came" in first_question(model).content


async def test_it_does_not_wait_for_ever(alice: User, keep: Keep, settings: Any) -> None:
    settings.FILE_WAIT_SECONDS = 0
    turn = await ask(alice, "Who came?", await ready(await picture(alice, keep)))
    assert "is still being recognised" in question(await answer(turn, BLIND)).content
    assert await used(turn) == [("none", 0, 1, "recognising")]


async def test_collections_find_it_and_cite_the_page(alice: User, keep: Keep) -> None:
    chosen = await collection(alice, await recognised(await scan(alice, keep)), group="scans")
    turn = await asked(alice, "Who came to pond 2?", chosen)
    got = question(await answer(turn, BLIND, ScriptedModel(says("The heron [2]."))))
    assert "[2] scan.pdf, page 2, recognised text\nThe heron came to pond 2" in got.content
    [source] = (await shown_run(turn, alice))["sources"]
    assert source["label"] == "page 2, recognised text"


async def test_rules_of_moderation_apply_to_it(alice: User, keep: Keep) -> None:
    await in_db(
        lambda: ModerationRule.objects.create(
            name="no herons", enabled=True, action="mask", directions=[Direction.FILES], words="heron"
        )
    )
    clear_moderation()
    turn = await ask(alice, "Who came?", await recognised(await picture(alice, keep)))
    got = question(await answer(turn, BLIND))
    assert "heron" not in got.content
    assert "came to pond" in got.content


async def test_a_worker_recognises_after_it_has_read_and_tells_both(
    alice: User, keep: Keep, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, str]] = []
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()

    async def announce(blob_id: Any) -> None:
        blob = (await in_db(File.objects.select_related("blob").get, blob=blob_id)).blob
        told.append((blob.state, blob.reason))
        if len(told) == 2:
            ended.set()

    monkeypatch.setattr(jobs, "announce_read", announce)

    def spawn(work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, loop)

    reading = ReadingJobs(spawn)
    file = await picture(alice, keep)
    await loop.run_in_executor(None, reading.start, file.blob_id)
    await asyncio.wait_for(ended.wait(), 60)
    reading.stop()
    assert told[-1] == ("read", "recognised")


def test_the_chip_says_so() -> None:
    file = {"kind": "pdf", "size": 1_000, "parts": 2, "state": "read", "reason": "Its text was recognised."}
    assert file_words(file).endswith("2 pages · Its text was recognised.")
