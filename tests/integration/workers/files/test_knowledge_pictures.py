"""Pictures and scans in collections: found by their names, for models that see."""

from __future__ import annotations

import pytest

from accounts.lib.db import in_db
from accounts.models import User
from chat.models import Collection
from tests import made_files as made
from tests.conftest import make_user
from tests.integration.workers.files.conftest import Keep
from tests.integration.workers.files.test_giving import Window, answer, question, ready, used
from tests.integration.workers.files.test_knowledge import asked, collection, shown_run

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("one_model", "no_rules", "layer")]


@pytest.fixture
async def house(alice: User, keep: Keep) -> Collection:
    """A picture, a scan of two pages, and a text."""
    plan = await ready(await in_db(keep, alice, made.image((800, 600)), "Floor plan.png", "image", "image/png"))
    scan = await ready(await in_db(keep, alice, made.pdf(["", ""]), "Contract.pdf", "pdf", "application/pdf"))
    text = await ready(await in_db(keep, alice, b"The crocodile waits.", "a.txt", "text", "text/plain"))
    return await collection(alice, plan, scan, text, group="house")


async def test_a_picture_whose_name_the_question_has(alice: User, house: Collection) -> None:
    turn = await asked(alice, "What is in the north of the floor plan?", house)
    got = question(await answer(turn, Window(32_000, sees=True)))
    assert len(got.images) == 1
    assert "[A collection of the user has “Floor plan.png”, which is shown to you." in got.content
    assert "The crocodile waits." in got.content
    assert got.content.endswith("What is in the north of the floor plan?")
    assert ("image", 1, 1, "") in await used(turn)
    assert "Floor plan.png" in [one["name"] for one in (await shown_run(turn, alice))["files"]]


async def test_the_pages_of_a_scan(alice: User, house: Collection) -> None:
    turn = await asked(alice, "Who has signed the contract?", house)
    got = question(await answer(turn, Window(32_000, sees=True)))
    assert len(got.images) == 2
    assert "Its first 2 of 2 pages are shown as images." in got.content


@pytest.mark.parametrize("why", ["it does not see", "no word", "short words only", "not in the group"])
async def test_none_where(alice: User, house: Collection, why: str) -> None:
    said = {"no word": "Who waits?", "short words only": "A pla for png?"}.get(why, "The floor plan?")
    turn = await asked(alice, said, house)
    if why == "not in the group":
        await in_db(lambda: Collection.objects.filter(pk=house.pk).update(owner=make_user("Bea")))
    got = question(await answer(turn, Window(32_000, sees=why != "it does not see")))
    assert not got.images
    assert "Floor plan.png" not in got.content
