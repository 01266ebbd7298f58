"""Secrets that staff enter, encrypted before they reach the database.

Fernet (AES-128-CBC with HMAC-SHA256), from the `cryptography` package. The first of ENCRYPTION_KEYS encrypts, each of
them decrypts, and last of all SECRET_KEY does: with no ENCRYPTION_KEYS it is the only one, and what it encrypted stays
readable once there are some. Each is a long random text, made a Fernet key by HKDF (RFC 5869).
"""

from __future__ import annotations

import base64
import functools
from typing import TYPE_CHECKING, Final

from django.conf import settings

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet

PURPOSE: Final = b"antiphon: secrets that staff enter"


class UnreadableError(Exception):
    """A secret was encrypted with a key that is not here, as in a backup that came back without its SECRET_KEY."""


def encrypt(secret: str) -> str:
    """The secret as it is kept, about 4/3 of its length and 100 characters more."""
    return _fernet(*_secrets()).encrypt(secret.encode()).decode()


def decrypt(token: str) -> str:
    """What `encrypt` was given. Raises `UnreadableError`."""
    from cryptography.fernet import InvalidToken

    try:
        return _fernet(*_secrets()).decrypt(token.encode()).decode()
    except InvalidToken:
        pass
    raise UnreadableError


def reencrypt(token: str) -> str:
    """The same secret under the first key. Raises `UnreadableError`."""
    from cryptography.fernet import InvalidToken

    try:
        return _fernet(*_secrets()).rotate(token.encode()).decode()
    except InvalidToken:
        pass
    raise UnreadableError


def _secrets() -> list[str]:
    return [*settings.ENCRYPTION_KEYS, settings.SECRET_KEY]


@functools.lru_cache(maxsize=4)
def _fernet(*secrets: str) -> MultiFernet:
    # Only processes that meet a secret load the package.
    from cryptography.fernet import Fernet, MultiFernet
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    derived = [HKDF(hashes.SHA256(), 32, salt=None, info=PURPOSE).derive(secret.encode()) for secret in secrets]
    return MultiFernet([Fernet(base64.urlsafe_b64encode(key)) for key in derived])
