"""What settings say of one provider of single sign-on. Loaded with the settings, so it imports nothing of Django's."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

# Attributes in which providers send an address and a name when settings name no others.
EMAIL_ATTRIBUTES: Final = (
    "urn:oid:0.9.2342.19200300.100.1.3", "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress",
    "email", "mail", "emailAddress",
)  # fmt: skip
NAME_ATTRIBUTES: Final = (
    "urn:oid:2.16.840.1.113730.3.1.241", "http://schemas.microsoft.com/identity/claims/displayname", "displayName",
    "name", "urn:oid:2.5.4.3", "cn",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class SamlSettings:
    """`metadata`: the address of the provider's, or the path of a file with it. `entity_id`: which provider of the
    metadata; empty: the only one. `certificate` and `key`: ours, as PEM, to sign what is sent there; both or none.
    """

    metadata: str
    entity_id: str = ""
    certificate: str = ""
    key: str = field(default="", repr=False)
    email: tuple[str, ...] = EMAIL_ATTRIBUTES
    name: tuple[str, ...] = NAME_ATTRIBUTES


@dataclass(frozen=True, slots=True)
class SsoProvider:
    """`claim`: the path of the claim whose values are mapped, as in `realm_access.roles`. `groups` and `plans` are
    pairs of a value and a name, in the order of the setting; `staff` are values that make somebody staff.
    """

    id: str
    name: str
    url: str
    client_id: str
    secret: str
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    trusts_email: bool = False  # addresses count as verified without the claim `email_verified`
    has_second_factor: bool = False  # the provider asks for one, so the site does not
    signs_up: bool = False  # whoever the provider lets in gets an account, whatever SIGN_UP says
    claim: str = "groups"
    groups: tuple[tuple[str, str], ...] = ()
    plans: tuple[tuple[str, str], ...] = ()
    staff: frozenset[str] = frozenset()
    saml: SamlSettings | None = None  # then it speaks SAML, and `url`, `client_id`, `secret` and `scopes` mean nothing

    @property
    def login_route(self) -> str:
        """The name of the URL at which log-ins through it begin."""
        return "saml_login" if self.saml is not None else "openid_connect_login"


def allauth_settings(providers: Iterable[SsoProvider]) -> dict[str, Any]:
    """The providers as allauth's setting SOCIALACCOUNT_PROVIDERS has them."""
    oidc, saml = [], []
    for one in providers:
        app: dict[str, Any] = {"provider_id": one.id, "name": one.name, "client_id": one.client_id or one.id}
        if one.saml is None:
            facts = {"server_url": one.url, "scope": list(one.scopes), "verified_email": one.trusts_email}
            oidc.append({**app, "secret": one.secret, "settings": facts})
            continue
        mapping = {
            "uid": ["urn:oasis:names:tc:SAML:attribute:subject-id"],
            "email": list(one.saml.email),
            "email_verified": ["email_verified", "http://schemas.auth0.com/email_verified"],
            "name": list(one.saml.name),
        }
        saml.append({**app, "settings": {"attribute_mapping": mapping, "verified_email": one.trusts_email}})
    return {"openid_connect": {"OAUTH_PKCE_ENABLED": True, "APPS": oidc}, "saml": {"APPS": saml}}


def parse_pairs(texts: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """`["engineers:Engineering"]` as pairs. A value without a colon is its own name. Raises `ValueError`."""
    found = []
    for text in texts:
        value, _colon, name = text.rpartition(":") if ":" in text else (text, "", text)
        if not value.strip() or not name.strip():
            raise ValueError(f"{text!r} is not a pair such as engineers:Engineering")
        found.append((value.strip(), name.strip()))
    return tuple(found)


def claim_values(claims: Mapping[str, Any], path: str) -> set[str]:
    """The values of a claim: of a list, or of one text. A name with dots is looked up as it stands first. Missing or
    of another kind: none.
    """
    found: Any = claims.get(path)
    if found is None:
        found = claims
        for name in path.split("."):
            found = found.get(name) if isinstance(found, Mapping) else None
    if isinstance(found, str):
        return {found}
    return {one for one in found if isinstance(one, str)} if isinstance(found, list | tuple) else set()


def is_provider_id(text: str) -> bool:
    return re.fullmatch(r"[a-z][a-z0-9-]{0,30}", text, re.ASCII) is not None
