"""Checks a logout token (OpenID Connect Back-Channel Logout 1.0 §2.6) with PyJWT and the provider's keys."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from typing import Final

import jwt
from allauth.socialaccount.adapter import get_adapter
from django.core.cache import cache

from accounts.auth.sso_settings import SsoProvider
from accounts.sso.discovery import discover

EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"
ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
LEEWAY: Final = 60  # seconds that two clocks may differ by
OLDEST: Final = 300  # seconds since `iat`, also where a token has no `exp`


class LogoutTokenError(Exception):
    """The token is refused. The argument is the reason, for the log and the provider; it contains no part of it."""


@dataclass(frozen=True, slots=True)
class Logout:
    """At least one of both: the provider's user, and the session there."""

    sub: str
    sid: str


def check_logout_token(provider: SsoProvider, token: str) -> Logout:
    """Whom to log out. Raises `LogoutTokenError`, and `DiscoveryError` while the provider's keys cannot be read."""
    metadata = discover(provider)
    try:
        key = _key(str(metadata["jwks_uri"]), token)
        claims = jwt.decode(
            token, key, algorithms=list(ALGORITHMS), audience=provider.client_id, issuer=metadata["issuer"],
            leeway=LEEWAY, options={"require": ["iss", "aud", "iat", "jti"]},
        )  # fmt: skip
    except (jwt.PyJWTError, KeyError, TypeError) as error:
        raise LogoutTokenError(f"not valid: {type(error).__name__}") from error
    if jwt.get_unverified_header(token).get("typ", "JWT").lower() not in ("jwt", "logout+jwt"):
        raise LogoutTokenError("not a logout token")
    events = claims.get("events")
    if not isinstance(events, dict) or not isinstance(events.get(EVENT), dict):
        raise LogoutTokenError("no logout event")
    if "nonce" in claims:
        raise LogoutTokenError("it has a nonce, so it is an ID token")
    if time.time() - claims["iat"] > OLDEST:
        raise LogoutTokenError("too old")
    sub, sid = (claims.get(name) or "" for name in ("sub", "sid"))
    if not isinstance(sub, str) or not isinstance(sid, str) or not (sub or sid):
        raise LogoutTokenError("it names nobody")
    digest = hashlib.sha256(f"{provider.id} {claims['jti']}".encode()).hexdigest()[:32]
    if not cache.add(f"sso:logout:{digest}", 1, timeout=OLDEST + LEEWAY):
        raise LogoutTokenError("used already")
    return Logout(sub=sub, sid=sid)


def _key(address: str, token: str) -> jwt.PyJWK:
    """The provider's key that signed the token: by its `kid`, or the only one there is."""
    with get_adapter().get_requests_session() as session:
        answer = session.get(address)
        answer.raise_for_status()
        keys = jwt.PyJWKSet.from_dict(answer.json()).keys
    wanted = jwt.get_unverified_header(token).get("kid")
    found = [key for key in keys if wanted is None or key.key_id == wanted]
    if len(found) != 1:
        raise jwt.InvalidKeyError("no such key")
    return found[0]
