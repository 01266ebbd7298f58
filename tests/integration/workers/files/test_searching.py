"""Models find parts of attached files: those of the people who read what is found, and of no others."""

from __future__ import annotations

import pytest

from accounts.models import User
from chat.models import Message
from chat.search.any_words import search_for_readers
from chat.turns.accepted import Accepted
from tests import made_files as made
from tests.fixtures.run_rows import say
from tests.integration.workers.files.conftest import Keep
from workers.files.reading import read_blob

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("one_model", "no_rules")]


@pytest.fixture
def turn(alice: User, keep: Keep) -> Accepted:
    pages = ["The budget of the harbour", "The crocodile waits in the harbour", "Nothing to see here"]
    file = keep(alice, made.pdf(pages), "plans.pdf", "pdf", "application/pdf")
    read_blob(file.blob_id)
    return say(alice, "Look at this", attachments=[file.pk])


def found(user: User, turn: Accepted, text: str) -> list[tuple[str, str]]:
    return [(one.file, one.passage) for one in search_for_readers(user.pk, turn.conversation_id, text, 6) if one.file]


def test_parts_with_most_words_come_first(alice: User, turn: Accepted) -> None:
    assert found(alice, turn, "crocodile harbour") == [
        ("plans.pdf, page 2", "The crocodile waits in the harbour"),
        ("plans.pdf, page 1", "The budget of the harbour"),
    ]


def test_from_another_conversation_and_for_another_person(alice: User, bob: User, turn: Accepted) -> None:
    other = say(alice, "Where is it?")
    assert found(alice, other, "crocodile")
    theirs = say(bob, "Where is it?")
    assert found(bob, theirs, "crocodile") == []


def test_not_of_messages_that_are_withheld(alice: User, turn: Accepted) -> None:
    Message.objects.filter(pk=turn.message_id).update(moderation={"action": "hold"})
    assert found(alice, turn, "crocodile") == []
