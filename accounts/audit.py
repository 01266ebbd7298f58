"""Records actions of staff, and security events, in the audit log."""

from __future__ import annotations

import uuid

from django.db.models import Model
from django.http import HttpRequest

from accounts.auth.adapter import client_ip
from accounts.auth.requests import user_of
from accounts.models import AuditEntry, User


def record(
    request: HttpRequest,
    verb: str,
    what: Model | type[Model],
    *,
    conversation_id: uuid.UUID | None = None,
    details: str = "",
) -> None:
    """Adds an entry. Call it before the action, so that no action happens that is not recorded.

    `what` is the row, or a model if the action concerns a list. `details` is truncated to 500 characters; it must not
    contain text of messages.
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


def record_event(request: HttpRequest, verb: str, user: User | None, *, email: str = "", details: str = "") -> None:
    """Adds a security event of `user`'s account. The actor is whoever is logged in, or who just logged in, else nobody.

    `email` is what was typed, where nobody is logged in.
    """
    known = getattr(request, "user", None)
    actor = known if isinstance(known, User) else None
    AuditEntry.objects.create(
        actor=actor,
        actor_email=(actor.email if actor else email or (user.email if user else ""))[:254],
        verb=verb,
        object_type=User._meta.label_lower,  # noqa: SLF001  # Django documents it
        object_id=str(user.pk) if user else "",
        ip=client_ip(request),
        details=details[:500],
    )
