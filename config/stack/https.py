"""Whether a stack is reached over https, where TLS ends at a proxy in front of it."""

from __future__ import annotations

from collections.abc import Sequence

from config.stack.errors import StackError
from config.stack.ports import is_loopback


def behind_tls(host: str, origins: Sequence[str], proxies: int, explicit: bool | None) -> bool:
    """Whether cookies are Secure, http is redirected, and HSTS is sent.

    `explicit` is the setting HTTPS, None where it is not set: then it follows from an https origin or a trusted proxy,
    and else from `host`, since only this machine itself is reached over plain http. Raises `StackError` if HTTPS=0
    contradicts an https origin.
    """
    secure = [origin for origin in origins if origin.lower().startswith("https://")]
    if explicit is False and secure:
        raise StackError(
            f"HTTPS=0 would send log-in cookies over plain http, but ALLOWED_ORIGINS has {secure[0]}: "
            "unset HTTPS, or write http:// in ALLOWED_ORIGINS if there is no TLS."
        )
    if explicit is not None:
        return explicit
    return bool(secure) or proxies > 0 or not is_loopback(host)
