"""Searches in conversations: in one's own, and among others only in what all of them may read."""

from __future__ import annotations

import pytest
from django.utils import timezone

from accounts.models import User
from chat.conversations.searching import search_messages
from chat.models import Conversation, Member, Message, MessageRole, Role

pytestmark = pytest.mark.usefixtures("db")


def conversation(*members: User, title: str = "Plans", text: str = "", **fields: object) -> Conversation:
    made = Conversation.objects.create(title=title, **fields)
    for member in members:
        Member.objects.create(conversation=made, user=member, role=Role.OWNER)
    if text:
        Message.objects.create(conversation=made, role=MessageRole.USER, author=members[0], text=text)
    return made


def found(user: User, here: Conversation, query: str = "Rome") -> list[str]:
    return [one.passage for one in search_messages(user.pk, here.pk, query, 20)]


def test_ones_own_conversations_are_searched(alice: User, mallory: User) -> None:
    here = conversation(alice, text="Rome here")
    conversation(alice, text="We go to Rome in May.")
    conversation(alice, text="Romeo and Juliet")
    conversation(alice, title="Rome", text="by its title")
    conversation(mallory, text="Rome of another person")
    conversation(alice, text="Rome, temporary", temporary=True)
    conversation(alice, text="Rome, in the trash", deleted_at=timezone.now())
    gone = conversation(alice, text="Rome, deleted")
    Message.objects.filter(conversation=gone).update(deleted_at=timezone.now())
    assert set(found(alice, here)) == {"We go to Rome in May.", "Romeo and Juliet", "by its title"}
    assert found(alice, here, "Paris") == []
    assert found(alice, here, "!?&|():*'") == []


def test_who_is_no_member_finds_nothing(alice: User, mallory: User) -> None:
    here = conversation(alice)
    conversation(mallory, text="Rome")
    assert found(mallory, here) == []


def test_among_others_only_what_all_of_them_may_read(alice: User, bob: User, mallory: User) -> None:
    here = conversation(alice, bob)
    conversation(alice, text="Rome, Alice's own")
    conversation(bob, text="Rome, Bob's own")
    conversation(alice, bob, text="Rome, of both")
    conversation(alice, bob, mallory, text="Rome, of all")
    assert set(found(alice, here)) == {"Rome, of both", "Rome, of all"}
    Member.objects.create(conversation=here, user=mallory, role=Role.VIEWER)
    assert found(alice, here) == ["Rome, of all"]


def test_messages_with_most_words_come_first_and_passages_are_cut(alice: User) -> None:
    here = conversation(alice)
    conversation(alice, text="Only trains.")
    conversation(alice, text="x " * 2000 + "night trains to Rome" + " y" * 60_000)
    best, other = search_messages(alice.pk, here.pk, "night trains Rome", 20)
    assert "night trains to Rome" in best.passage
    assert len(best.passage) <= 502
    assert other.passage == "Only trains."
    assert len(search_messages(alice.pk, here.pk, "trains", 1)) == 1
