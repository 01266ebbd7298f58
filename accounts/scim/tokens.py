"""Tokens of directories: `scim_<prefix>_<secret>`, of which the SHA-256 is stored."""

from __future__ import annotations

import hashlib
import re
import secrets
from datetime import timedelta
from typing import Final

from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from accounts.models import ScimToken

USED_EVERY: Final = timedelta(minutes=1)  # how often the time of the last use is written
_SHAPE: Final = re.compile(r"scim_([0-9a-f]{12})_([A-Za-z0-9_-]{43})", re.ASCII)


def give_secret(token: ScimToken) -> str:
    """Gives an unsaved token its secret (256 random bits), and returns it. The caller saves the row."""
    prefix, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    text = f"scim_{prefix}_{secret}"
    token.prefix, token.token_hash = prefix, _hash(text)
    return text


def find_token(text: str) -> ScimToken | None:
    """The token that works and has this text. Notes that it was used."""
    found = _SHAPE.fullmatch(text)
    row = ScimToken.objects.filter(prefix=found[1]).first() if found else None
    if not constant_time_compare(row.token_hash if row else _hash(""), _hash(text)) or row is None:
        return None
    if row.revoked_at is not None:
        return None
    if row.last_used_at is None or row.last_used_at < timezone.now() - USED_EVERY:
        unused = Q(last_used_at=None) | Q(last_used_at__lt=Now() - USED_EVERY)
        ScimToken.objects.filter(unused, pk=row.pk).update(last_used_at=Now())
    return row


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
