"""Sessions in PostgreSQL with the user in each row: the SESSION_ENGINE of the settings.

Sessions are not cached in Redis: a copy would outlive its row if Redis were unreachable when the session ends.
Expiry uses PostgreSQL's clock, because the clocks of web processes differ.
"""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from accounts.auth import revocation
from accounts.auth.api_tokens import token_still_valid
from accounts.auth.revocation import session_hash
from accounts.models import Session, TokenScope

SEEN_EVERY = timedelta(minutes=5)


class SessionStore(DatabaseStore):
    """Django's database store over `accounts.Session`. Deleting a session also closes its sockets."""

    @classmethod
    def get_model_class(cls) -> type[Session]:
        return Session

    def create_model_instance(self, data: dict[str, Any]) -> Session:
        row = super().create_model_instance(data)
        assert isinstance(row, Session)
        row.hash = session_hash(row.session_key)
        row.user_id = uuid.UUID(data[SESSION_KEY]) if SESSION_KEY in data else None
        row.expire_date = Now() + timedelta(seconds=self.get_expiry_age())
        return row

    def _get_session_from_db(self) -> Session | None:
        row = live_sessions().filter(session_key=self.session_key).first()
        if row is None:
            self._session_key = None
        else:
            _mark_seen(row)
        return row

    async def _aget_session_from_db(self) -> Session | None:
        return await sync_to_async(self._get_session_from_db)()

    def delete(self, session_key: str | None = None) -> None:
        key = session_key or self.session_key
        if key is not None:
            revocation.end_session(key)

    async def acreate_model_instance(self, data: dict[str, Any]) -> Session:
        return await sync_to_async(self.create_model_instance)(data)

    async def adelete(self, session_key: str | None = None) -> None:
        await sync_to_async(self.delete)(session_key)


def still_valid(user_id: uuid.UUID, hash_: str) -> bool:
    """Whether a page request with this session would be logged in as this user.

    True when the row exists and has not expired, the user is active, and the password has not changed since. Updates
    when the session was last seen, at most every `SEEN_EVERY`. Of an API token (`api_tokens.token_hash`): whether it
    may still open sockets.
    """
    row = live_sessions().select_related("user").filter(hash=hash_, user=user_id).first()
    if row is None:
        return token_still_valid(hash_, user_id, TokenScope.SOCKET)
    if row.user is None or not row.user.is_active:
        return False
    opened_with = SessionStore().decode(row.session_data).get(HASH_SESSION_KEY, "")
    hashes = [row.user.get_session_auth_hash(), *row.user.get_session_auth_fallback_hash()]
    if not any(constant_time_compare(opened_with, known) for known in hashes):
        return False
    _mark_seen(row)
    return True


def live_sessions() -> QuerySet[Session]:
    """Sessions that have not expired: by age, by idle time, and by the shorter limits of staff."""
    idle = Now() - timedelta(hours=settings.SESSION_IDLE_HOURS)
    staff_idle = Now() - timedelta(minutes=settings.SESSION_STAFF_IDLE_MINUTES)
    staff_age = Now() - timedelta(hours=settings.SESSION_STAFF_HOURS)
    return Session.objects.filter(
        Q(user=None) | Q(user__is_staff=False) | Q(last_seen_at__gt=staff_idle, created_at__gt=staff_age),
        expire_date__gt=Now(),
        last_seen_at__gt=idle,
    )


def _mark_seen(row: Session) -> None:
    """Updates when the session was last seen, at most every `SEEN_EVERY`."""
    if row.last_seen_at < timezone.now() - SEEN_EVERY:  # the clock only decides whether to ask the database
        Session.objects.filter(pk=row.pk, last_seen_at__lt=Now() - SEEN_EVERY).update(last_seen_at=Now())


def record_client(request: HttpRequest, ip: str | None) -> None:
    """Saves the time, IP address and User-Agent of the session's last request."""
    if not request.session.session_key:
        request.session.save()
    agent = "".join(c for c in request.META.get("HTTP_USER_AGENT", "") if c.isprintable())[:200]
    Session.objects.filter(pk=request.session.session_key).update(last_seen_at=Now(), ip=ip, user_agent=agent)
