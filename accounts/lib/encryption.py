"""Secrets that staff enter, encrypted before they reach the database.

Uses Fernet (AES-128-CBC with HMAC-SHA256) of the `cryptography` package. The first of ENCRYPTION_KEYS encrypts; all of
them decrypt, then SECRET_KEY. Without ENCRYPTION_KEYS, SECRET_KEY encrypts, and what it encrypted stays readable after
keys are set. Each is a long random text from which HKDF (RFC 5869) derives a Fernet key.
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
    """No key decrypts the secret, for example after a backup was restored with another SECRET_KEY."""


def encrypt(secret: str) -> str:
    """The encrypted secret, about 4/3 of its length plus 100 characters."""
    return _fernet(*_secrets()).encrypt(secret.encode()).decode()


def decrypt(token: str) -> str:
    """The secret that was encrypted. Raises `UnreadableError`."""
    from cryptography.fernet import InvalidToken

    try:
        return _fernet(*_secrets()).decrypt(token.encode()).decode()
    except InvalidToken:
        pass
    raise UnreadableError


def reencrypt(token: str) -> str:
    """The same secret, encrypted with the first key. Raises `UnreadableError`."""
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
    # Imported here so that only processes that use a secret load the package.
    from cryptography.fernet import Fernet, MultiFernet
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    derived = [HKDF(hashes.SHA256(), 32, salt=None, info=PURPOSE).derive(secret.encode()) for secret in secrets]
    return MultiFernet([Fernet(base64.urlsafe_b64encode(key)) for key in derived])
