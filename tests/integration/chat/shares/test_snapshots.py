"""What a snapshot shows: the messages up to one, as they were, less what was withdrawn."""

from __future__ import annotations

import uuid

import pytest

from accounts.models import User
from chat.models import Conversation, Message, SharedMessage, ShareLink
from chat.moderation.rewriting import rewrite_message
from chat.protocol.errors import NotFound
from chat.shares.reading import read_shared
from tests.fixtures.conversation_rows import make_conversation, make_version
from tests.integration.chat.shares.links import CANARY, share, texts, tip_of
from tests.integration.chat.shares.links import conversation as conversation  # a fixture

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis")]


# --- snapshots -------------------------------------------------------------------------------------------------------
def test_what_comes_later_does_not_show(conversation: Conversation, alice: User) -> None:
    first = Message.objects.order_by("created_at").first()
    assert first is not None
    link, _ = share(alice, conversation)
    make_version(first, "another version")
    Message.objects.create(conversation=conversation, parent_id=conversation.tip_id, role="user", text="later")
    Message.objects.filter(pk=first.pk).update(text="edited in place")
    Conversation.objects.update(title="Renamed")
    assert texts(link) == ["text 0", "text 1", "text 2", "text 3"]
    assert read_shared(link).title == "Crocodiles"


def test_it_ends_at_the_message_that_was_chosen(conversation: Conversation, alice: User) -> None:
    second = list(Message.objects.order_by("created_at"))[1]
    link, _ = share(alice, conversation, message_id=second.pk)
    assert texts(link) == ["text 0", "text 1"]


def test_a_long_one_comes_in_pages(alice: User) -> None:
    link, _ = share(alice, make_conversation(alice, messages=250))
    page = read_shared(link)
    assert (len(page.messages), page.messages[-1]["text"]) == (100, "text 249")
    page = read_shared(link, page.before)
    page = read_shared(link, page.before)
    assert (len(page.messages), page.messages[0]["text"], page.before) == (50, "text 0", "")
    for place in ("-1", "x", "9" * 9, str(uuid.uuid4())):
        with pytest.raises(NotFound):
            read_shared(link, place)


def test_no_place_of_another_branch_or_conversation(conversation: Conversation, alice: User) -> None:
    link, _ = share(alice, conversation, kind="live")
    second = list(Message.objects.order_by("created_at"))[1]
    elsewhere = make_version(second, CANARY)
    below = Message.objects.create(conversation=conversation, parent=elsewhere, role="user", text=CANARY)
    foreign = Message.objects.create(conversation=make_conversation(alice), parent=None, role="user", text=CANARY)
    for place in (below, foreign):
        with pytest.raises(NotFound):
            read_shared(link, str(place.pk))


def test_what_moderation_withdraws_is_gone_from_snapshots(conversation: Conversation, alice: User) -> None:
    first = Message.objects.order_by("created_at").first()
    assert first is not None
    Message.objects.filter(pk=first.pk).update(text=f"a {CANARY}")
    Conversation.objects.update(title=f"a {CANARY}")
    link, _ = share(alice, conversation)
    assert CANARY in str(read_shared(link))
    rewrite_message(first.pk, "a ███", {"action": "mask", "reason": "", "case_id": ""})
    link.refresh_from_db()
    shown = read_shared(link)
    assert CANARY not in str(shown)
    assert shown.messages[0]["text"] == "a ███"
    assert shown.messages[0]["moderation"] == {"action": "mask"}
    assert not [table for table in tables() if CANARY in table]


def test_a_snapshot_shows_what_moderation_says_even_if_its_copy_was_missed(
    conversation: Conversation, alice: User
) -> None:
    link, _ = share(alice, conversation)
    Message.objects.filter(pk=tip_of(conversation)).update(text="", moderation={"action": "block"})
    assert texts(link)[-1] == ""


def test_a_message_that_was_deleted_is_gone(conversation: Conversation, alice: User) -> None:
    link, _ = share(alice, conversation)
    Message.objects.filter(pk=tip_of(conversation)).update(text="", html="")  # deleted in place
    assert texts(link)[-1] == ""
    Message.objects.filter(pk=tip_of(conversation)).delete()
    assert len(texts(link)) == 3


def tables() -> list[str]:
    return [str(list(model.objects.values())) for model in (ShareLink, SharedMessage, Message, Conversation)]
