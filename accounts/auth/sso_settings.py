"""What settings say of one provider of single sign-on. Loaded with the settings, so it imports nothing of Django's."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


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
