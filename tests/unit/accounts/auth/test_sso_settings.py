"""How the mapping of claims is written in settings, and which values a claim has."""

from __future__ import annotations

from typing import Any

import pytest

from accounts.auth.sso_settings import claim_values, is_provider_id, parse_pairs


@pytest.mark.parametrize(
    ("claims", "path", "values"),
    [
        ({"groups": ["a", "b"]}, "groups", {"a", "b"}),
        ({"groups": "a"}, "groups", {"a"}),
        ({"realm_access": {"roles": ["a"]}}, "realm_access.roles", {"a"}),
        ({"https://example.org/roles": ["a"]}, "https://example.org/roles", {"a"}),  # its dots are of its name
        ({"groups": ["a", 7, None, {"b": 1}]}, "groups", {"a"}),
        ({"groups": {"a": 1}}, "groups", set()),
        ({"groups": 7}, "groups", set()),
        ({"realm_access": "text"}, "realm_access.roles", set()),
        ({}, "groups", set()),
    ],
)
def test_values_of_a_claim(claims: dict[str, Any], path: str, values: set[str]) -> None:
    assert claim_values(claims, path) == values


def test_pairs() -> None:
    assert parse_pairs(["eng:Engineering", "support", " /a/b : C "]) == (
        ("eng", "Engineering"),
        ("support", "support"),
        ("/a/b", "C"),
    )
    assert parse_pairs(["urn:example:eng:Engineering"]) == (("urn:example:eng", "Engineering"),)
    for wrong in (":x", "x:", ":", " "):
        with pytest.raises(ValueError, match="pair"):
            parse_pairs([wrong])


def test_names_of_providers() -> None:
    assert all(map(is_provider_id, ("acme", "entra-id", "a1")))
    assert not any(map(is_provider_id, ("", "Acme", "1a", "a/b", "a b", "-", "a" * 40)))
