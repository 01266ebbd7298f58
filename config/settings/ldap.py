"""Log-in with the password of an LDAP directory (docs/operations.md#ldap). Off without LDAP_URL."""

from __future__ import annotations

import importlib.util
import re

from django.core.exceptions import ImproperlyConfigured

from accounts.auth.sso_settings import SsoProvider, parse_pairs
from config.env import LOOPBACK, split_url
from config.settings.accounts import AUTHENTICATION_BACKENDS
from config.settings.environment import env

LDAP_URL: str = env.str("LDAP_URL", "").rstrip("/")
LDAP_START_TLS = env.bool("LDAP_START_TLS", False)
LDAP_CA_FILE: str = env.str("LDAP_CA_FILE", "")  # of the directory's certificate; empty: those of the system
LDAP_BIND_DN: str = env.str("LDAP_BIND_DN", "")  # who looks people up; empty: anybody may
LDAP_BIND_PASSWORD: str = env.str("LDAP_BIND_PASSWORD", "")
LDAP_BASE: str = env.str("LDAP_BASE", "")
LDAP_FILTER: str = env.str("LDAP_FILTER", "(mail={login})")
LDAP_NAME: str = env.str("LDAP_NAME", "displayName,cn")  # attributes; the first that has a value is the name
LDAP_GROUP_ATTRIBUTE: str = env.str("LDAP_GROUP_ATTRIBUTE", "memberOf")
LDAP_GROUP_BASE: str = env.str("LDAP_GROUP_BASE", "")  # where groups are looked up instead, by LDAP_GROUP_FILTER
LDAP_GROUP_FILTER: str = env.str("LDAP_GROUP_FILTER", "(member={dn})")
LDAP_SIGN_UP = env.bool("LDAP_SIGN_UP", True)  # who is in the directory gets an account, whatever SIGN_UP says

# What the directory's groups give here, as claims of a provider of single sign-on do (accounts.sso.claims).
LDAP_CLAIMS: SsoProvider | None = None

if LDAP_URL:
    if importlib.util.find_spec("ldap3") is None:
        raise ImproperlyConfigured(
            "LDAP_URL: the package ldap3 is not installed. Install it with pip install -r requirements/ldap.txt"
        )
    _parts = split_url("LDAP_URL", LDAP_URL)
    if _parts.scheme not in ("ldap", "ldaps") or not _parts.hostname:
        raise ImproperlyConfigured("LDAP_URL: this is not an address such as ldaps://ldap.example.org")
    if _parts.scheme == "ldap" and not LDAP_START_TLS and _parts.hostname not in LOOPBACK:
        raise ImproperlyConfigured("LDAP_URL: passwords would be sent unencrypted. Use ldaps:// or LDAP_START_TLS=1")
    if not LDAP_BASE:
        raise ImproperlyConfigured("LDAP_BASE: say below which entry people are, such as ou=people,dc=example,dc=org")
    if "{login}" not in LDAP_FILTER or not re.fullmatch(r"\(.+\)", LDAP_FILTER):
        raise ImproperlyConfigured("LDAP_FILTER: this is not a filter such as (mail={login})")
    try:
        _groups = parse_pairs(env.list("LDAP_GROUPS", [], delimiter=";"))
        _plans = parse_pairs(env.list("LDAP_PLANS", [], delimiter=";"))
    except ValueError as error:
        raise ImproperlyConfigured(f"LDAP_GROUPS or LDAP_PLANS: {error}") from None
    LDAP_CLAIMS = SsoProvider(
        id="ldap", name="LDAP", url=LDAP_URL, client_id="", secret="", signs_up=LDAP_SIGN_UP, groups=_groups,
        plans=_plans, staff=frozenset(env.list("LDAP_STAFF", [], delimiter=";")),
    )  # fmt: skip
    AUTHENTICATION_BACKENDS = [*AUTHENTICATION_BACKENDS, "accounts.sso.ldap_backend.LdapBackend"]
