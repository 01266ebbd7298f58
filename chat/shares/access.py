"""Who may read by a share link: anyone, people who are logged in, or who knows the link's password.

No cookie is set for any of it. Whoever entered the password gets a key for a while, which the page of the share has in
its forms and in the address of its event stream; another password, or the link's end, makes it invalid.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Final

from django.conf import settings
from django.contrib.auth.hashers import check_password
from django.core import signing
from django.utils.crypto import salted_hmac

from accounts.auth import guessing
from accounts.lib import rate_limit
from chat.models import ShareAudience, ShareLink

KEY_SECONDS: Final = 12 * 3600
_SALT: Final = "chat.shares.key"


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of a password. `wait`: seconds until another one may be tried."""

    key: str = ""
    wait: float = 0.0

    @property
    def right(self) -> bool:
        return bool(self.key)


def may_read(link: ShareLink, user_id: uuid.UUID | None, key: str) -> bool:
    """Whether somebody with this account (None: without one) and this key may read by a link that works."""
    match link.audience:
        case ShareAudience.ANYONE:
            return True
        case ShareAudience.USERS:
            return user_id is not None
        case ShareAudience.PASSWORD:
            return _is_key(link, key)
    return False


def try_password(link: ShareLink, password: str, address: str) -> Tried:
    """Checks a password, as log-ins do it: attempts are limited by address, and after ten wrong ones, over all
    addresses, the link is locked for a while, except for addresses that had it right before. Raises `redis.RedisError`.
    """
    limits = rate_limit.required_limits((f"share-password:{address}", settings.RATE_SHARE_PASSWORDS))
    if wait := rate_limit.try_acquire(limits):
        return Tried(wait=wait)
    name = f"share:{link.pk}"
    if guessing.is_locked(name, address):
        return Tried(wait=guessing.FIRST_SECONDS)
    if not check_password(password, link.password):
        guessing.count_failure(name)
        return Tried()
    guessing.remember_place(name, address)
    return Tried(key=make_key(link))


def make_key(link: ShareLink) -> str:
    """A key to a link with a password, valid for `KEY_SECONDS`."""
    return signing.TimestampSigner(salt=_SALT).sign(_fingerprint(link))


def _is_key(link: ShareLink, key: str) -> bool:
    try:
        return signing.TimestampSigner(salt=_SALT).unsign(key, max_age=KEY_SECONDS) == _fingerprint(link)
    except signing.BadSignature:
        return False


def _fingerprint(link: ShareLink) -> str:
    return salted_hmac(_SALT, f"{link.pk}:{link.password}", algorithm="sha256").hexdigest()[:32]
