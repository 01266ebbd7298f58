"""Mails about messages that mention people who have not seen them for a while. One mail has all that are due.

`chat_mention` is the list of what is due: a mail is noted there before it is sent, so that no two workers send it, and
the note is taken back if the mail server refuses. Who is in front of the site, or has read the message, gets none.
"""

from __future__ import annotations

import asyncio
import smtplib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import structlog
from allauth.account.adapter import get_adapter
from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.db.models import Exists, F, OuterRef, QuerySet
from django.db.models.functions import Now
from django.urls import reverse

from accounts.auth.adapter import listed_origin, mail_is_configured
from accounts.lib import rate_limit
from accounts.lib.db import in_db
from accounts.lib.outage import OUTAGE
from accounts.models import MentionMails, User
from chat.models import Member, Mention
from chat.notifications.visibility import visible_users

TEMPLATE: Final = "account/email/mentioned"
AT_ONCE: Final = 200  # people of one round; the next one is a minute later
MOST_SHOWN: Final = 5  # mentions of one mail
LONGEST_TEXT: Final = 500  # characters of each message
OLDEST: Final = timedelta(days=1)  # what could not be mailed for so long is not mailed any more

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail that is noted as sent."""

    message: EmailMessage
    mentions: Sequence[int]  # ids


async def mail_mentions() -> None:
    """One round. Raises nothing: what is not sent now is due in the next round, too."""
    if not settings.MENTION_MAIL_MINUTES or not mail_is_configured():
        return
    try:
        people = await in_db(_people)
        here = await visible_users(people)
        for person in people:
            if person in here or await asyncio.to_thread(_is_over_limit, person):
                continue  # a later round looks again
            if (mail := await in_db(note_mail, person)) is not None:
                await _send(mail)
    except OUTAGE as error:
        logger.warning("mention_mails_not_sent", error=type(error).__name__)


async def _send(mail: Mail) -> None:
    try:
        await asyncio.to_thread(mail.message.send)
    except (smtplib.SMTPException, OSError) as error:
        logger.warning("mention_mail_failed", error=type(error).__name__)
        await in_db(_take_back, mail)


def _people() -> list[uuid.UUID]:
    return list(_due().order_by().values_list("user", flat=True).distinct()[:AT_ONCE])


def note_mail(user_id: uuid.UUID) -> Mail | None:
    """Notes what is due for a user as mailed, and returns the mail; None if nothing is due any more."""
    with transaction.atomic():
        rows = _due().filter(user=user_id).select_for_update(of=("self",), skip_locked=True)
        found = list(rows.select_related("by", "message__conversation").order_by("created_at", "pk"))
        if not found:
            return None
        ids = [one.pk for one in found]
        Mention.objects.filter(pk__in=ids).update(mailed_at=Now())
    user = User.objects.get(pk=user_id)
    return Mail(get_adapter().render_mail(TEMPLATE, user.email, _context(user, found)), ids)


def _take_back(mail: Mail) -> None:
    Mention.objects.filter(pk__in=mail.mentions).update(mailed_at=None)


def _due() -> QuerySet[Mention]:
    """Mentions that nobody has seen or mailed, of messages that their readers may read and have not read."""
    conversation, written_at = OuterRef("message__conversation"), OuterRef("message__created_at")
    unread = Member.objects.filter(user=OuterRef("user"), conversation=conversation, seen_until__lt=written_at)
    return Mention.objects.filter(
        Exists(unread),
        seen_at=None,
        mailed_at=None,
        created_at__gt=Now() - OLDEST,
        created_at__lt=Now() - timedelta(minutes=settings.MENTION_MAIL_MINUTES),
        user__mention_mails__in=[MentionMails.ON, MentionMails.TEXT],
        user__is_active=True,
        user__erase_at=None,
        message__deleted_at=None,
        message__conversation__deleted_at=None,
        message__author=F("by"),  # not of somebody who was erased
    )


def _context(user: User, mentions: Sequence[Mention]) -> dict[str, Any]:
    origin, with_text = listed_origin(), user.mention_mails == MentionMails.TEXT
    authors = dict.fromkeys(one.by.display_name for one in mentions if one.by)
    return {
        "site_name": settings.SITE_NAME,
        "site_url": origin,
        "by": next(iter(authors)) if len(authors) == 1 else "",
        "mentions": [_shown(one, origin, with_text=with_text) for one in mentions[:MOST_SHOWN]],
        "more": max(0, len(mentions) - MOST_SHOWN),
        "settings_url": origin + reverse("chat:notifications"),
    }


def _shown(mention: Mention, origin: str, *, with_text: bool) -> dict[str, str]:
    """One mention. Titles and texts come from what people wrote, and mail is readable on its way."""
    message = mention.message
    path = reverse("chat:conversation", args=[message.conversation_id])
    text = " ".join(message.text.split()) if with_text else ""
    return {
        "by": mention.by.display_name if mention.by else "",
        "url": f"{origin}{path}#m-{message.pk}" if origin else "",
        "title": message.conversation.title if with_text else "",
        "text": text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT - 1]}…",
    }


def _is_over_limit(user_id: uuid.UUID) -> bool:
    limits = rate_limit.required_limits((f"mention-mail:{user_id.hex}", settings.RATE_MENTION_MAILS))
    return rate_limit.try_acquire(limits) > 0
