"""Webhooks of one's own: what concerns oneself, sent to an address of one's choice (`USER_WEBHOOKS` says how many)."""

from __future__ import annotations

from collections.abc import Sequence

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from accounts.models import User
from chat.models.webhooks import Webhook


class OwnWebhookError(Exception):
    """Why there is no new webhook: `many` or `name`."""


def own_webhooks(user: User) -> QuerySet[Webhook]:
    return Webhook.objects.filter(owner=user).order_by("name", "pk")


def create_own(user: User, name: str, url: str, events: Sequence[str], *, with_text: bool) -> tuple[Webhook, str]:
    """A new one and its secret, which is shown once. Raises `OwnWebhookError`."""
    made = Webhook(
        owner=user, created_by=user, name=name, url=url, events=list(events), with_text=with_text
    )  # fmt: skip
    secret = made.new_secret()
    try:
        with transaction.atomic():
            User.objects.select_for_update(no_key=True).get(pk=user.pk)  # two at once count one after the other
            if own_webhooks(user).count() >= settings.USER_WEBHOOKS:
                raise OwnWebhookError("many")
            made.save()
    except IntegrityError as error:
        raise OwnWebhookError("name") from error
    return made, secret
