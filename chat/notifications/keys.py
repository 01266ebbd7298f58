"""The key pair by which push services know this site (VAPID, RFC 8292), and where notifications may be sent."""

from __future__ import annotations

import base64
import functools
from urllib.parse import urlsplit

from django.conf import settings

from accounts.lib.urls import split_url


def push_is_on() -> bool:
    """Whether this site sends browser notifications."""
    return bool(settings.PUSH_HOSTS and settings.VAPID_PRIVATE_KEY)


def public_key() -> str:
    """The public key as browsers want it: an uncompressed point in base64url. Empty where push is off."""
    return _public_key(settings.VAPID_PRIVATE_KEY) if push_is_on() else ""


@functools.lru_cache(maxsize=4)
def _public_key(private_key: str) -> str:
    # Imported here: only processes that offer notifications need the package.
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = ec.derive_private_key(int.from_bytes(decode(private_key)), ec.SECP256R1())
    point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return base64.urlsafe_b64encode(point).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """The bytes of base64url, with or without padding. Raises `ValueError`."""
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def may_send_to(endpoint: str) -> bool:
    """Whether an endpoint is one of a push service that is allowed (setting `PUSH_HOSTS`).

    A host of the list means https on its usual port; `*.host` also the names below it. Only an entry that is written
    out as `http://host:port` allows that, for tests and private services.
    """
    try:
        parts = split_url(endpoint)
    except ValueError:
        return False
    if parts.username is not None or parts.password is not None or parts.fragment or not parts.hostname:
        return False
    origin = f"{parts.scheme}://{parts.netloc}"
    if origin in settings.PUSH_HOSTS:
        return True
    if parts.scheme != "https" or parts.port not in (None, 443):
        return False
    return any(_fits(parts.hostname, entry) for entry in settings.PUSH_HOSTS)


def _fits(host: str, entry: str) -> bool:
    return host.endswith(entry[1:]) if entry.startswith("*.") else host == entry


def host_of(endpoint: str) -> str:
    """The host of an endpoint, for people: the rest of it is a secret."""
    return urlsplit(endpoint).netloc
