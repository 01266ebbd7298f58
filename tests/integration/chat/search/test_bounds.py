"""What a search may cost, whatever is searched for and however many people's conversations a user is in."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.db import connection

from accounts.models import User
from chat.conversations.windows import window_around
from chat.models import Conversation, Member, Message, Role
from chat.protocol.errors import NotFound
from chat.search import finding
from chat.search.finding import search
from chat.search.queries import MAX_TERMS, read_query
from tests.fixtures.conversation_rows import make_conversation
from tests.fixtures.people import logged_in

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis")]

LONG_WORDS = " ".join(f"abcdefghijklmn{letter}o" for letter in "abcdefghijkl")
LONG_RUN = "".join(chr(0x4E00 + number) for number in range(1000))


def homes(alice: User, count: int) -> None:
    """Alice is in a conversation of each of so many people, and in one of her own."""
    make_conversation(alice)
    people = User.objects.bulk_create(User(email=f"p{number}@example.org") for number in range(count))
    made = Conversation.objects.bulk_create(Conversation(title="Plain") for _ in people)
    Member.objects.bulk_create(Member(conversation=one, user=alice, role=Role.EDITOR) for one in made)
    with connection.cursor() as cursor:
        for conversation, person in zip(made, people, strict=True):
            cursor.execute(
                "UPDATE chat_conversationwords SET home = %s WHERE conversation_id = %s", [person.pk, conversation.pk]
            )


@pytest.mark.parametrize("asked", [LONG_WORDS, LONG_RUN, f"{LONG_RUN[:400]} {LONG_WORDS[:500]}"])
def test_a_member_of_many_peoples_conversations_may_ask_anything(alice: User, asked: str) -> None:
    """PostgreSQL refuses a query of more than 1 MB: it was an error 500."""
    homes(alice, 200)
    response = logged_in(alice).get("/search/", {"q": asked})
    assert response.status_code == 200
    keys = [uuid.uuid4().hex[-6:] for _ in range(200)]
    for condition in (read_query(asked).condition(keys), read_query(asked).similar(keys)):
        assert condition.count("'") / 2 <= MAX_TERMS + 1000


def test_a_long_run_is_still_found_as_a_whole(alice: User) -> None:
    homes(alice, 200)
    message = Message.objects.filter(role="user").first()
    assert message is not None
    Message.objects.filter(pk=message.pk).update(text=LONG_RUN)
    assert [one.message_id for one in search(alice.pk, LONG_RUN[:300]).messages] == [message.pk]
    assert search(alice.pk, LONG_RUN[:299] + "xyz" + LONG_RUN[400:600]).messages == []


def test_what_fits_is_there_when_typing_errors_take_too_long(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    make_conversation(alice, title="The walrus")
    exactly = finding._search

    def slowly(*given: Any, similar: bool) -> finding.Found:
        if similar:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_sleep(5)")
        return exactly(*given, similar=similar)

    monkeypatch.setattr(finding, "TYPO_SECONDS", 0.2)
    monkeypatch.setattr(finding, "_search", slowly)
    found = search(alice.pk, "walrus")
    assert len(found.titles) == 1
    assert not found.is_similar


def test_parts_are_of_the_conversation_that_is_asked(alice: User, bob: User) -> None:
    own, other = make_conversation(alice), make_conversation(bob)
    theirs = Message.objects.filter(conversation=other).order_by("created_at")
    Message.objects.filter(conversation=other).update(text="Xylomark")
    client = logged_in(alice)
    first, last = str(theirs[0].pk), str(theirs[1].pk)
    for asked in ({"message": first}, {"leaf": last}, {"after": first}, {"after": first, "leaf": last},
                  {"leaf": last, "at": "start"}, {"leaf": last, "date": "2020-01-01"}):  # fmt: skip
        page = client.get(f"/c/{own.pk}/part/", asked)
        assert b"Xylomark" not in page.content, asked
    with pytest.raises(NotFound):
        window_around(own.pk, theirs[0].pk)
