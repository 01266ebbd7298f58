"""Sessions in PostgreSQL with the user in each row: the SESSION_ENGINE of the settings.

Sessions are not cached in Redis: a copy would outlive its row if Redis were unreachable when the session ends.
Expiry uses PostgreSQL's clock, because the clocks of web processes differ.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.db import connection
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from accounts.auth import revocation
from accounts.auth.api_tokens import token_still_valid
from accounts.auth.revocation import session_hash
from accounts.lib.postgresql.prepared import PreparedStatement
from accounts.models import Session, TokenScope, User

SEEN_EVERY = timedelta(minutes=5)

# The `live_sessions` of active users, of many at once. After a cut each socket asks, and Django takes a millisecond to
# put such a query together.
CHECK: Final = PreparedStatement(
    """
SELECT asked.place, s.session_key, s.session_data, u.password, s.last_seen_at < statement_timestamp() - %(seen_every)s
FROM unnest(%(hashes)s::text[], %(users)s::uuid[]) WITH ORDINALITY AS asked(hash, user_id, place)
JOIN accounts_session s ON s.hash = asked.hash AND s.user_id = asked.user_id
JOIN accounts_user u ON u.id = s.user_id AND u.is_active
WHERE s.expire_date > statement_timestamp() AND s.last_seen_at > statement_timestamp() - %(idle)s
AND (NOT u.is_staff OR (
    s.last_seen_at > statement_timestamp() - %(staff_idle)s AND s.created_at > statement_timestamp() - %(staff_age)s))
""",
    {
        "hashes": "text[]",
        "users": "uuid[]",
        "seen_every": "interval",
        "idle": "interval",
        "staff_idle": "interval",
        "staff_age": "interval",
    },
)


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
    return bool(still_valid_of([(user_id, hash_)]))


def still_valid_of(asked: Sequence[tuple[uuid.UUID, str]]) -> set[int]:
    """Which of these users and sessions, from 0, are `still_valid`."""
    with connection.cursor() as cursor:
        CHECK.execute(cursor, check_values(asked))
        rows = cursor.fetchall()
    known = {row[0] - 1 for row in rows}
    tokens = (place for place in range(len(asked)) if place not in known)
    return valid_places(rows) | {place for place in tokens if _is_valid_token(*asked[place])}


def _is_valid_token(user_id: uuid.UUID, hash_: str) -> bool:
    return token_still_valid(hash_, user_id, TokenScope.SOCKET)


def check_values(asked: Sequence[tuple[uuid.UUID, str]]) -> dict[str, Any]:
    """The values of `CHECK` for sessions: their users, and their hashes."""
    return {
        "hashes": [hash_ for _, hash_ in asked],
        "users": [user_id for user_id, _ in asked],
        "seen_every": SEEN_EVERY,
        "idle": timedelta(hours=settings.SESSION_IDLE_HOURS),
        "staff_idle": timedelta(minutes=settings.SESSION_STAFF_IDLE_MINUTES),
        "staff_age": timedelta(hours=settings.SESSION_STAFF_HOURS),
    }


def valid_places(rows: Sequence[tuple[int, str, str, str, bool]]) -> set[int]:
    """Which of the sessions that were asked about, from 0, are `still_valid`; `rows` are those of `CHECK`. Writes when
    they were seen. Raises a database error.
    """
    valid = [row for row in rows if _opened_with_password(row[2], row[3])]
    if unseen := [key for _, key, *_, is_due in valid if is_due]:
        Session.objects.filter(pk__in=unseen, last_seen_at__lt=Now() - SEEN_EVERY).update(last_seen_at=Now())
    return {row[0] - 1 for row in valid}


def _opened_with_password(session_data: str, password: str) -> bool:
    """Whether the password has not changed since the session began."""
    user = User(password=password)
    opened_with = SessionStore().decode(session_data).get(HASH_SESSION_KEY, "")
    hashes = [user.get_session_auth_hash(), *user.get_session_auth_fallback_hash()]
    return any(constant_time_compare(opened_with, known) for known in hashes)


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
