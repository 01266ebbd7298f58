"""A provider's metadata (OpenID Connect Discovery 1.0), kept for some minutes."""

from __future__ import annotations

from typing import Any, Final

import requests
from allauth.socialaccount.adapter import get_adapter
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from django.core.cache import cache

from accounts.auth.sso_settings import SsoProvider

FRESH_SECONDS: Final = 600
WELL_KNOWN: Final = "/.well-known/openid-configuration"


class DiscoveryError(OAuth2Error):  # type: ignore[misc]  # allauth ships no types
    """The provider does not answer, or with something else than its metadata. allauth answers it with a page."""


def discover(provider: SsoProvider, *, fresh: bool = False) -> dict[str, Any]:
    """The metadata, kept for some minutes unless `fresh`. Its issuer must be the address that the settings name. Raises
    `DiscoveryError`.
    """
    key = f"sso:discovery:{provider.id}:{provider.url}"
    known: dict[str, Any] | None = None if fresh else cache.get(key)
    if known is not None:
        return known
    url = provider.url if WELL_KNOWN in provider.url else provider.url + WELL_KNOWN
    try:
        with get_adapter().get_requests_session() as session:
            answer = session.get(url)
            answer.raise_for_status()
            found = answer.json()
    except (requests.RequestException, ValueError) as error:
        raise DiscoveryError(f"no metadata: {type(error).__name__}") from error
    issuer = found.get("issuer") if isinstance(found, dict) else None
    if not isinstance(issuer, str) or issuer.rstrip("/") != url.partition(WELL_KNOWN)[0].rstrip("/"):
        raise DiscoveryError("the issuer is another one than the address of the settings")
    cache.set(key, found, FRESH_SECONDS)
    return dict(found)
