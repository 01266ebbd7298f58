"""Writes down what staff looked at and did to somebody."""

from __future__ import annotations

import uuid

from django.db.models import Model
from django.http import HttpRequest

from accounts.auth.adapter import client_ip
from accounts.auth.requests import user_of
from accounts.models import AuditEntry


def record(
    request: HttpRequest,
    verb: str,
    what: Model | type[Model],
    *,
    conversation_id: uuid.UUID | None = None,
    details: str = "",
) -> None:
    """One entry. Call it before the deed: what cannot be written down must not happen.

    `what`: the row it was done to, or a model where it was done to a list. `details` is cut after 500 characters; what
    people and models wrote does not belong there.
    """
    actor = user_of(request)
    AuditEntry.objects.create(
        actor=actor,
        actor_email=actor.email,
        verb=verb,
        object_type=what._meta.label_lower,  # noqa: SLF001  # Django documents it
        object_id=str(what.pk) if isinstance(what, Model) else "",
        conversation_id=conversation_id,
        ip=client_ip(request),
        details=details[:500],
    )
