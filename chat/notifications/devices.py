"""The browsers that a user has chosen to be notified on."""

from __future__ import annotations

import hashlib
import uuid
from typing import Final

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from accounts.auth.devices import describe_device
from accounts.models import Session, User
from chat.models import PushSubscription
from chat.notifications.keys import decode, host_of, may_send_to, push_is_on
from chat.protocol.errors import Invalid, NotFound

MOST_DEVICES: Final = 20  # of one user; one more takes the place of the oldest
LONGEST_ENDPOINT: Final = 2_000
LONGEST_DEVICE: Final = 60
POINT_BYTES: Final = 65  # an uncompressed point of P-256
SECRET_BYTES: Final = 16


def devices_of(user_id: uuid.UUID) -> QuerySet[PushSubscription]:
    """The user's devices of sessions that have not ended, newest first."""
    return with_session(PushSubscription.objects.filter(user_id=user_id)).order_by("-id")


def with_session(rows: QuerySet[PushSubscription]) -> QuerySet[PushSubscription]:
    """Those whose session has not ended. A session that was idle for long has not ended in this sense: who is away is
    to be notified.
    """
    alive = Session.objects.filter(hash=OuterRef("session_hash"), user=OuterRef("user"), expire_date__gt=Now())
    return rows.filter(Exists(alive))


def add_device(
    user: User, session: Session, endpoint: str, p256dh: str, auth: str, *, with_text: bool
) -> PushSubscription:
    """Notifies this browser from now on. The same browser takes its own place, also if somebody else used it before.

    Raises `Invalid`.
    """
    if not push_is_on():
        raise Invalid(_("Browser notifications are switched off on this site."))
    if len(endpoint) > LONGEST_ENDPOINT or not may_send_to(endpoint):
        raise Invalid(_("This browser’s notification service is not supported on this site."))
    _check_key(p256dh, POINT_BYTES)
    _check_key(auth, SECRET_BYTES)
    values = {
        "user": user,
        "session_hash": session.hash,
        "endpoint": endpoint,
        "host": host_of(endpoint),
        "p256dh": p256dh,
        "auth": auth,
        "device": describe_device(session.user_agent)[:LONGEST_DEVICE],
        "with_text": with_text,
        "failures": 0,
        "retry_at": None,
    }
    digest = hashlib.sha256(endpoint.encode()).hexdigest()
    with transaction.atomic():
        User.objects.select_for_update(no_key=True).get(pk=user.pk)  # of two at once the second sees the first
        PushSubscription.objects.filter(user=user, session_hash=session.hash).exclude(endpoint_hash=digest).delete()
        row, _is_new = PushSubscription.objects.update_or_create(endpoint_hash=digest, defaults=values)
        kept = PushSubscription.objects.filter(user=user).order_by("-id").values("pk")[:MOST_DEVICES]
        PushSubscription.objects.filter(user=user).exclude(pk__in=list(kept.values_list("pk", flat=True))).delete()
    return row


def _check_key(text: str, size: int) -> None:
    try:
        found = decode(text)
    except ValueError:
        found = b""
    if len(found) != size or (size == POINT_BYTES and found[0] != 4):
        raise Invalid(_("The browser’s notification keys are invalid."))


def remove_device(user_id: uuid.UUID, device_id: uuid.UUID) -> None:
    """Raises `NotFound` for what is not the user's."""
    if not PushSubscription.objects.filter(user_id=user_id, pk=device_id).delete()[0]:
        raise NotFound


def set_with_text(user_id: uuid.UUID, device_id: uuid.UUID, *, with_text: bool) -> None:
    """Whether this device shows titles and text. Raises `NotFound` for what is not the user's."""
    if not PushSubscription.objects.filter(user_id=user_id, pk=device_id).update(with_text=with_text):
        raise NotFound
