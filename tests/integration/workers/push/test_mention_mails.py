"""Emails about mentions: who gets one, when, what it says, and that nothing is mailed twice."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.core.mail import EmailMessage
from django.utils import timezone

from accounts.lib.db import in_db
from accounts.models import MentionMails, User
from chat.conversations import members
from chat.models import Conversation, Member, Mention, Message, Role
from chat.notifications import visibility
from chat.notifications.positions import move_position
from chat.turns.mentioning import note_seen
from tests.fixtures.conversation_rows import make_conversation
from tests.fixtures.people import logged_in
from workers.push import mention_mails

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis")]


@pytest.fixture(autouse=True)
def _site(settings: Any) -> None:
    settings.ALLOWED_ORIGINS = ["https://chat.example.org"]
    settings.MENTION_MAIL_MINUTES = 10


@pytest.fixture
def shared(alice: User, bob: User) -> Conversation:
    conversation = make_conversation(alice, 2, title="Trip to Rome")
    Member.objects.create(conversation=conversation, user=bob, role=Role.EDITOR)
    Member.objects.update(seen_until=timezone.now() - timedelta(days=1))
    return conversation


@pytest.fixture
def question(shared: Conversation) -> Message:
    return Message.objects.get(conversation=shared, role="user")


@pytest.fixture
def mention(question: Message, alice: User, bob: User) -> Mention:
    """Alice has mentioned Bob, eleven minutes ago."""
    Message.objects.filter(pk=question.pk).update(text="@Bob, the tickets are 80 euros")
    at = timezone.now() - timedelta(minutes=11)
    return Mention.objects.create(message=question, user=bob, by=alice, created_at=at)


async def test_it_says_who_and_where_and_nothing_else(mention: Mention, shared: Conversation, bob: User) -> None:
    await mention_mails.mail_mentions()
    [sent] = mail.outbox
    assert (sent.to, sent.subject) == ([bob.email], "[Antiphon] Alice mentioned you")
    assert f"https://chat.example.org/c/{shared.pk}/#m-{mention.message_id}" in sent.body
    assert "https://chat.example.org/accounts/notifications/" in sent.body
    assert "tickets" not in sent.body
    assert "Rome" not in sent.body
    await mention_mails.mail_mentions()
    assert len(mail.outbox) == 1, "once"


async def test_with_text_where_the_person_wants_it(mention: Mention, bob: User) -> None:
    await in_db(User.objects.filter(pk=bob.pk).update, mention_mails=MentionMails.TEXT)
    await mention_mails.mail_mentions()
    [sent] = mail.outbox
    assert "Alice mentioned you in “Trip to Rome”." in sent.body
    assert "@Bob, the tickets are 80 euros" in sent.body


@pytest.mark.parametrize(
    "why", ["off", "soon", "old", "seen", "read", "removed", "deleted", "disabled", "site", "gone"]
)
async def test_nobody_who_wants_none_has_seen_it_or_may_not(
    mention: Mention, question: Message, shared: Conversation, bob: User, settings: Any, why: str
) -> None:
    if why == "off":
        await in_db(User.objects.filter(pk=bob.pk).update, mention_mails=MentionMails.OFF)
    elif why in ("soon", "old"):
        ago = timedelta(minutes=9) if why == "soon" else timedelta(days=2)
        await in_db(Mention.objects.update, created_at=timezone.now() - ago)
    elif why == "seen":
        await in_db(note_seen, bob.pk, shared.pk)
    elif why == "read":
        await in_db(move_position, bob.pk, shared.pk, question.pk)
    elif why == "removed":
        await in_db(members.remove_member, None, shared.pk, bob.pk)
    elif why == "deleted":
        await in_db(Conversation.objects.filter(pk=shared.pk).update, deleted_at=timezone.now())
    elif why == "disabled":
        await in_db(User.objects.filter(pk=bob.pk).update, is_active=False)
    elif why == "site":
        settings.MENTION_MAIL_MINUTES = 0
    else:
        await in_db(Message.objects.filter(pk=question.pk).update, text="", deleted_at=timezone.now())
    await mention_mails.mail_mentions()
    assert mail.outbox == []


async def test_who_is_in_front_of_the_site_gets_it_later(mention: Mention, bob: User) -> None:
    await visibility.show(bob.pk, "tab")
    await mention_mails.mail_mentions()
    assert mail.outbox == []
    await visibility.hide(bob.pk, "tab")
    await mention_mails.mail_mentions()
    assert len(mail.outbox) == 1


async def test_all_that_is_due_is_one_mail_and_there_are_not_too_many(
    mention: Mention, shared: Conversation, alice: User, bob: User, settings: Any
) -> None:
    settings.RATE_MENTION_MAILS = "1/h"

    async def mention_again(count: int) -> None:
        for _ in range(count):
            one = await in_db(Message.objects.create, conversation=shared, role="user", author=alice, text="@Bob")
            at = timezone.now() - timedelta(minutes=11)
            await in_db(Mention.objects.create, message=one, user=bob, by=alice, created_at=at)

    await mention_again(6)
    await mention_mails.mail_mentions()
    [sent] = mail.outbox
    assert sent.body.count("Alice mentioned you in a conversation.") == mention_mails.MOST_SHOWN
    assert "2 more messages mention you." in sent.body
    await mention_again(1)
    await mention_mails.mail_mentions()
    assert len(mail.outbox) == 1
    settings.RATE_MENTION_MAILS = "off"
    await mention_mails.mail_mentions()
    assert len(mail.outbox) == 2, "it was kept"


async def test_a_mail_server_that_refuses_is_asked_again(mention: Mention, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: EmailMessage) -> int:
        raise ConnectionRefusedError

    with monkeypatch.context() as patched:
        patched.setattr(EmailMessage, "send", refuse)
        await mention_mails.mail_mentions()
    await in_db(mention.refresh_from_db)
    assert mention.mailed_at is None
    await mention_mails.mail_mentions()
    assert len(mail.outbox) == 1


async def test_two_workers_send_one(mention: Mention, bob: User) -> None:
    assert await in_db(mention_mails.note_mail, bob.pk) is not None
    assert await in_db(mention_mails.note_mail, bob.pk) is None


async def test_without_a_listed_origin_there_is_no_link(mention: Mention, settings: Any) -> None:
    settings.ALLOWED_ORIGINS = []
    await mention_mails.mail_mentions()
    assert "://" not in mail.outbox[0].body


def test_it_is_chosen_in_the_settings(bob: User) -> None:
    client = logged_in(bob)
    page = client.get("/accounts/notifications/").content.decode()
    assert 'value="on" checked' in page
    assert client.post("/accounts/notifications/mails/", {"mails": "text"}).status_code == 302
    bob.refresh_from_db()
    assert bob.mention_mails == "text"
    assert client.post("/accounts/notifications/mails/", {"mails": "\x00"}).status_code == 400
