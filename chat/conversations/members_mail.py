"""The mail to a person who was added to a conversation."""

from __future__ import annotations

import smtplib

import structlog
from allauth.account.adapter import get_adapter
from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse

from accounts.auth.adapter import site_url
from accounts.lib import rate_limit
from accounts.site import site
from chat.conversations.members import Added

logger = structlog.get_logger(__name__)


def mail_added(request: HttpRequest, added: Added) -> None:
    """Mails them who added them, and where. Without a mail server they see it in their list; nothing is raised.

    The title is left out: it comes from what people wrote, and mail is readable on its way.
    """
    person = added.member.user
    limit = rate_limit.required_limits((f"added:{person.pk.hex}", settings.RATE_ADDED_MAILS))
    if rate_limit.try_acquire(limit):
        return
    link = site_url(request) + reverse("chat:conversation", args=[added.member.conversation_id])
    context = {
        "user": person,
        "by": added.by.display_name if added.by else site().name,
        "role": added.member.role,
        "link": link,
    }
    try:
        get_adapter(request).send_mail("account/email/added_to_conversation", person.email, context)
    except (smtplib.SMTPException, OSError) as error:
        logger.warning("member_mail_failed", error=type(error).__name__)
