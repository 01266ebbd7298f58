"""Single sign-on: the providers, each in variables of its own (docs/operations.md#single-sign-on)."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ImproperlyConfigured

from accounts.auth.sso_settings import SsoProvider, is_provider_id, parse_pairs
from config.env import LOOPBACK, split_url
from config.settings.environment import a_rate, env


def _provider(id_: str) -> SsoProvider:
    if not is_provider_id(id_):
        raise ImproperlyConfigured(f"SSO_PROVIDERS: {id_!r} is not a name of small letters, digits and hyphens")
    prefix = f"SSO_{id_.upper().replace('-', '_')}_"
    url: str = env.str(f"{prefix}URL", "").rstrip("/")
    parts = split_url(f"{prefix}URL", url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
        raise ImproperlyConfigured(f"{prefix}URL: this is not an address such as https://login.example.org/realms/one")
    client_id: str = env.str(f"{prefix}CLIENT_ID", "")
    if not client_id:
        raise ImproperlyConfigured(f"{prefix}CLIENT_ID: the provider {id_} needs one")
    try:
        groups, plans = (parse_pairs(env.list(f"{prefix}{one}", [])) for one in ("GROUPS", "PLANS"))
    except ValueError as error:
        raise ImproperlyConfigured(f"{prefix}GROUPS or {prefix}PLANS: {error}") from None
    return SsoProvider(
        id=id_,
        name=env.str(f"{prefix}NAME", id_),
        url=url,
        client_id=client_id,
        secret=env.str(f"{prefix}CLIENT_SECRET", ""),
        scopes=tuple(env.str(f"{prefix}SCOPES", "openid profile email").split()),
        trusts_email=env.bool(f"{prefix}TRUST_EMAIL", False),
        has_second_factor=env.bool(f"{prefix}SECOND_FACTOR", False),
        signs_up=env.bool(f"{prefix}SIGN_UP", False),
        claim=env.str(f"{prefix}CLAIM", "groups"),
        groups=groups,
        plans=plans,
        staff=frozenset(env.list(f"{prefix}STAFF", [])),
    )


_ids: list[str] = env.list("SSO_PROVIDERS", [])
SSO_PROVIDERS: dict[str, SsoProvider] = {id_.strip(): _provider(id_.strip()) for id_ in _ids if id_.strip()}
# Nobody logs in with a password or a passkey but this administrator, for the day on which no provider answers.
SSO_ONLY = env.bool("SSO_ONLY", False)
SSO_EMERGENCY_ADMIN: str = env.str("SSO_EMERGENCY_ADMIN", "").strip().lower()
if SSO_ONLY and not SSO_PROVIDERS:
    raise ImproperlyConfigured("SSO_ONLY: there is no provider, so nobody could log in. Set SSO_PROVIDERS")
RATE_SSO_LOGOUTS: str = env.str("RATE_SSO_LOGOUTS", "600/m", validate=a_rate)  # back-channel, of one provider

SOCIALACCOUNT_ADAPTER = "accounts.sso.adapter.SsoAdapter"
SOCIALACCOUNT_PROVIDERS: dict[str, Any] = {
    "openid_connect": {
        "OAUTH_PKCE_ENABLED": True,
        "APPS": [
            {
                "provider_id": one.id,
                "name": one.name,
                "client_id": one.client_id,
                "secret": one.secret,
                "settings": {"server_url": one.url, "scope": list(one.scopes), "verified_email": one.trusts_email},
            }
            for one in SSO_PROVIDERS.values()
        ],
    }
}
