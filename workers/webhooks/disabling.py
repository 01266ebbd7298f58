"""Turns off a webhook that takes nothing, and tells staff."""

from __future__ import annotations

import smtplib
import uuid
from datetime import datetime
from typing import Final

import structlog
from allauth.account.adapter import get_adapter
from django.conf import settings
from django.db.models import Q
from django.urls import reverse

from accounts.auth.adapter import listed_origin, mail_is_configured
from accounts.models import AuditEntry, User
from chat.models.webhooks import Webhook

TEMPLATE: Final = "account/email/webhook_disabled"

logger = structlog.get_logger(__name__)


def disable_webhook(webhook_id: uuid.UUID, why: str, *, unless_success_since: datetime | None) -> bool:
    """Disables a webhook, records it, and mails who created it, or else all superusers. Whether it did.

    Nothing happens if it is disabled already, or has taken something since `unless_success_since`.
    """
    rows = Webhook.objects.filter(pk=webhook_id, enabled=True)
    if unless_success_since is not None:
        rows = rows.filter(Q(succeeded_at=None) | Q(succeeded_at__lt=unless_success_since))
    if not rows.update(enabled=False, disabled_because=why):
        return False
    webhook = Webhook.objects.select_related("created_by").get(pk=webhook_id)
    logger.warning("webhook_disabled", webhook=str(webhook_id), reason=why)
    AuditEntry.objects.create(
        actor=None, actor_email="", verb="disable", object_type="chat.webhook", object_id=str(webhook_id),
        details=f"{webhook.name}: {why}"[:500],
    )  # fmt: skip
    if mail_is_configured():
        _mail(webhook)
    return True


def _mail(webhook: Webhook) -> None:
    """A mail server that is away changes nothing: the admin shows it, too."""
    owner, origin = webhook.created_by, listed_origin()
    people = [owner] if owner and owner.is_active else User.objects.filter(is_superuser=True, is_active=True)
    if webhook.owner_id is not None:
        path = reverse("chat:webhooks")
    else:
        path = reverse("admin:chat_webhook_change", args=[webhook.pk])
    for person in people:
        context = {"webhook": webhook, "site_name": settings.SITE_NAME, "url": f"{origin}{path}" if origin else ""}
        try:
            get_adapter().render_mail(TEMPLATE, person.email, context).send()
        except (smtplib.SMTPException, OSError) as error:
            logger.warning("mail_not_sent", template="webhook_disabled", error=type(error).__name__)
