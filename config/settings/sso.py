"""Single sign-on: the providers, each in variables of its own (docs/operations.md#single-sign-on)."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from accounts.auth.sso_settings import (
    EMAIL_ATTRIBUTES,
    NAME_ATTRIBUTES,
    SamlSettings,
    SsoProvider,
    allauth_settings,
    is_provider_id,
    parse_pairs,
)
from config.env import LOOPBACK, split_url
from config.settings.environment import a_rate, env
from config.settings.site import INSTALLED_APPS


def _provider(id_: str) -> SsoProvider:
    if not is_provider_id(id_):
        raise ImproperlyConfigured(f"SSO_PROVIDERS: {id_!r} is not a name of small letters, digits and hyphens")
    prefix = f"SSO_{id_.upper().replace('-', '_')}_"
    saml = _saml(prefix)
    url, client_id = ("", "") if saml is not None else _oidc(id_, prefix)
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
        saml=saml,
    )


def _oidc(id_: str, prefix: str) -> tuple[str, str]:
    """The issuer's address, and the client's name there."""
    url: str = env.str(f"{prefix}URL", "").rstrip("/")
    if not url:
        raise ImproperlyConfigured(f"{prefix}URL: name the issuer here, or the metadata in {prefix}METADATA for SAML")
    if not _is_private(f"{prefix}URL", url):
        raise ImproperlyConfigured(f"{prefix}URL: this is not an address such as https://login.example.org/realms/one")
    client_id: str = env.str(f"{prefix}CLIENT_ID", "")
    if not client_id:
        raise ImproperlyConfigured(f"{prefix}CLIENT_ID: the provider {id_} needs one")
    return url, client_id


def _saml(prefix: str) -> SamlSettings | None:
    """What the variables say of SAML; None for a provider of OpenID Connect, which has no metadata of its own here."""
    metadata: str = env.str(f"{prefix}METADATA", "").strip()
    if not metadata:
        return None
    if env.str(f"{prefix}URL", ""):
        raise ImproperlyConfigured(f"{prefix}METADATA: {prefix}URL is set, too. One provider speaks one protocol")
    if any(importlib.util.find_spec(package) is None for package in ("onelogin", "xmlsec")):
        raise ImproperlyConfigured(
            f"{prefix}METADATA: the package python3-saml is not installed. "
            "Install it with pip install -r requirements/saml.txt"
        )
    if "://" in metadata:
        if not _is_private(f"{prefix}METADATA", metadata):
            raise ImproperlyConfigured(f"{prefix}METADATA: this is neither an address with https nor a file")
    elif not Path(metadata).is_file():
        raise ImproperlyConfigured(f"{prefix}METADATA: there is no file {metadata}")
    certificate, key = (_pem(f"{prefix}{one}") for one in ("CERTIFICATE_FILE", "KEY_FILE"))
    if bool(certificate) != bool(key):
        raise ImproperlyConfigured(f"{prefix}CERTIFICATE_FILE and {prefix}KEY_FILE: set both, or none")
    return SamlSettings(
        metadata=metadata,
        entity_id=env.str(f"{prefix}ENTITY_ID", "").strip(),
        certificate=certificate,
        key=key,
        email=tuple(env.list(f"{prefix}EMAIL_ATTRIBUTE", list(EMAIL_ATTRIBUTES))),
        name=tuple(env.list(f"{prefix}NAME_ATTRIBUTE", list(NAME_ATTRIBUTES))),
    )


def _is_private(variable: str, url: str) -> bool:
    """Whether nobody on the way can read or change what is sent to and from the address."""
    parts = split_url(variable, url)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)


def _pem(variable: str) -> str:
    file: str = env.str(variable, "").strip()
    if not file:
        return ""
    try:
        text = Path(file).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ImproperlyConfigured(f"{variable}: {file} cannot be read ({type(error).__name__})") from None
    if "-----BEGIN " not in text:
        raise ImproperlyConfigured(f"{variable}: {file} is not a PEM file")
    return text


_ids: list[str] = env.list("SSO_PROVIDERS", [])
SSO_PROVIDERS: dict[str, SsoProvider] = {id_.strip(): _provider(id_.strip()) for id_ in _ids if id_.strip()}
# Nobody logs in with a password or a passkey but this administrator, for the day on which no provider answers.
SSO_ONLY = env.bool("SSO_ONLY", False)
SSO_EMERGENCY_ADMIN: str = env.str("SSO_EMERGENCY_ADMIN", "").strip().lower()
if SSO_ONLY and not SSO_PROVIDERS:
    raise ImproperlyConfigured("SSO_ONLY: there is no provider, so nobody could log in. Set SSO_PROVIDERS")
RATE_SSO_LOGOUTS: str = env.str("RATE_SSO_LOGOUTS", "600/m", validate=a_rate)  # back-channel, of one provider

SOCIALACCOUNT_ADAPTER = "accounts.sso.adapter.SsoAdapter"
SOCIALACCOUNT_PROVIDERS: dict[str, Any] = allauth_settings(SSO_PROVIDERS.values())
if any(one.saml is not None for one in SSO_PROVIDERS.values()):  # its modules load libxml2 and xmlsec
    _place = INSTALLED_APPS.index("allauth.socialaccount.providers.openid_connect")
    INSTALLED_APPS = [*INSTALLED_APPS[:_place], "allauth.socialaccount.providers.saml", *INSTALLED_APPS[_place:]]
