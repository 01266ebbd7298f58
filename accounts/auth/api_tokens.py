"""Tokens of the API: `ant_<prefix>_<secret>`, of which the SHA-256 is stored.

The prefix (48 random bits) finds the row and may be shown; the secret (256 random bits) is compared in constant time.
A token stands where a session stands: `token_hash` names its group of the channel layer, so that what is open with it
ends when it is revoked (`accounts.auth.revocation`).
"""

from __future__ import annotations

import hashlib
import re
import secrets
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from accounts.auth.revocation import announce_ended_token
from accounts.features import api_is_on
from accounts.models import ApiToken, Plan, TermsAcceptance, TokenScope, User
from accounts.site import site

USED_EVERY: Final = timedelta(minutes=1)  # how often the time of the last use is written
MOST_DAYS: Final = 3650
_SHAPE: Final = re.compile(r"ant_([0-9a-f]{12})_([A-Za-z0-9_-]{43})", re.ASCII)

# So many more answers today; no row if the token would have more than it may.
_COUNT: Final = """
UPDATE accounts_apitoken
SET day = (now() AT TIME ZONE 'UTC')::date,
    day_count = CASE WHEN day = (now() AT TIME ZONE 'UTC')::date THEN day_count ELSE 0 END + %(answers)s
WHERE id = %(token)s AND (daily_requests IS NULL OR daily_requests >= %(answers)s +
    CASE WHEN day = (now() AT TIME ZONE 'UTC')::date THEN day_count ELSE 0 END)
RETURNING day_count
"""
_UNTIL_MIDNIGHT: Final = """
SELECT EXTRACT(EPOCH FROM date_trunc('day', now() AT TIME ZONE 'UTC') + interval '1 day' - now() AT TIME ZONE 'UTC')
"""


class TokenError(Exception):
    """A token that cannot be created; the argument says why, for the user."""


class TooManyTokensError(TokenError):
    """The user has as many tokens as their plan allows: `limit`."""

    def __init__(self, limit: int) -> None:
        super().__init__(str(limit))
        self.limit = limit


class DayUsedUpError(Exception):
    """The token has asked for as many answers today as it may. `retry_after`: seconds until the next day (UTC)."""

    def __init__(self, retry_after: float) -> None:
        super().__init__(retry_after)
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class TokenAccess:
    """What a valid token stands for."""

    token_id: uuid.UUID
    user_id: uuid.UUID
    scopes: frozenset[str]
    rate: str

    @property
    def session_hash(self) -> str:
        """What stands for a session's hash in groups, marks and limits."""
        return token_hash(self.token_id)

    def may(self, scope: TokenScope) -> bool:
        """Whoever may write in conversations may read them."""
        return scope.value in self.scopes or (scope == TokenScope.READ and TokenScope.SOCKET.value in self.scopes)


@dataclass(frozen=True, slots=True)
class RefusedAccess:
    """Why a token that exists gives no access: `expired`, `revoked`, `inactive` or `terms`."""

    reason: str


def token_hash(token_id: uuid.UUID) -> str:
    """The name of a token where sessions have their hash: 32 hex digits."""
    return token_id.hex


def create_token(
    user: User,
    name: str,
    scopes: Collection[str],
    *,
    days: int | None,
    rate: str = "",
    daily_requests: int | None = None,
) -> tuple[ApiToken, str]:
    """A new token and its secret, which is stored nowhere. It expires after `days`; None: never.

    Raises `TooManyTokensError`.
    """
    prefix, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    text = f"ant_{prefix}_{secret}"
    with transaction.atomic():
        User.objects.select_for_update(no_key=True).get(pk=user.pk)  # two at once count one after the other
        limit = most_tokens(user)
        if working_tokens(user.pk).count() >= limit:
            raise TooManyTokensError(limit)
        made = ApiToken.objects.create(
            user=user, name=name, prefix=prefix, token_hash=_hash(text), rate=rate, daily_requests=daily_requests,
            scopes=[scope.value for scope in TokenScope if scope.value in scopes],
            expires_at=timezone.now() + timedelta(days=days) if days else None,
        )  # fmt: skip
    return made, text


def working_tokens(user_id: uuid.UUID) -> QuerySet[ApiToken]:
    """A user's tokens that are neither revoked nor expired."""
    return ApiToken.objects.filter(Q(expires_at=None) | Q(expires_at__gt=Now()), user=user_id, revoked_at=None)


def most_tokens(user: User) -> int:
    """How many working tokens this user may have, by their plan or API_TOKENS; 0 where the API is off."""
    if not api_is_on():
        return 0
    plan = Plan.objects.filter(pk=user.plan_id) if user.plan_id else Plan.objects.filter(is_default=True)
    limit = plan.values_list("api_tokens", flat=True).first()
    return settings.API_TOKENS if limit is None else limit


def revoke_tokens(rows: QuerySet[ApiToken]) -> int:
    """Revokes those of `rows` that are not revoked yet, and ends what is open with them. Returns how many they were."""
    with transaction.atomic():
        ids = list(rows.filter(revoked_at=None).select_for_update().values_list("pk", flat=True))
        ApiToken.objects.filter(pk__in=ids).update(revoked_at=Now())
        announce_ended_token([token_hash(one) for one in ids])
    return len(ids)


def find_access(text: str) -> TokenAccess | RefusedAccess | None:
    """What a token gives access to; None if there is no such token. Notes that it was used."""
    found = _SHAPE.fullmatch(text)
    row = ApiToken.objects.select_related("user").filter(prefix=found[1]).first() if found else None
    if not constant_time_compare(row.token_hash if row else _hash(""), _hash(text)) or row is None:
        return None
    refused = _refusal(row)
    if refused is not None:
        return refused
    _note_used(row)
    return TokenAccess(row.pk, row.user_id, frozenset(row.scopes), row.rate)


def token_still_valid(hash_: str, user_id: uuid.UUID, scope: TokenScope) -> bool:
    """Whether the token of this `token_hash` is the user's, has this scope, and would still give access."""
    try:
        token_id = uuid.UUID(hex=hash_)
    except ValueError:
        return False
    row = ApiToken.objects.select_related("user").filter(pk=token_id, user=user_id).first()
    return api_is_on() and row is not None and scope.value in row.scopes and _refusal(row) is None


def count_answers(token_id: uuid.UUID, answers: int = 1) -> None:
    """Counts answers that are asked for with a token, in the transaction that accepts them. Raises `DayUsedUpError`."""
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, {"token": token_id, "answers": answers})
        if cursor.fetchone() is None:
            cursor.execute(_UNTIL_MIDNIGHT)
            raise DayUsedUpError(float(cursor.fetchone()[0]))


def _refusal(row: ApiToken) -> RefusedAccess | None:
    if row.state != "working":
        return RefusedAccess(row.state)
    if not row.user.is_active:
        return RefusedAccess("inactive")
    version = site().terms
    if version and not TermsAcceptance.objects.filter(user=row.user_id, version__gte=version).exists():
        return RefusedAccess("terms")
    return None


def _note_used(row: ApiToken) -> None:
    """Writes the time of the last use, at most every `USED_EVERY`."""
    if row.last_used_at is None or row.last_used_at < timezone.now() - USED_EVERY:
        unused = Q(last_used_at=None) | Q(last_used_at__lt=Now() - USED_EVERY)
        ApiToken.objects.filter(unused, pk=row.pk).update(last_used_at=Now())


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def shown_scopes(scopes: Sequence[str]) -> list[str]:
    """The labels of scopes, as pages show them."""
    return [str(scope.label) for scope in TokenScope if scope.value in scopes]


def describe_token(row: ApiToken) -> dict[str, Any]:
    """What is known of a token, without its secret and hash; times in ISO 8601 or None."""

    def moment(value: datetime | None) -> str | None:
        return value.isoformat() if value else None

    return {
        "prefix": row.prefix, "name": row.name, "scopes": row.scopes, "state": row.state,
        "created_at": moment(row.created_at), "last_used_at": moment(row.last_used_at),
        "expires_at": moment(row.expires_at), "revoked_at": moment(row.revoked_at),
    }  # fmt: skip
