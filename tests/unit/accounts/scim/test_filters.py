"""Filters of lists: what directories send, and what is refused with a sentence."""

from __future__ import annotations

import pytest

from accounts.scim.errors import ScimError
from accounts.scim.filters import Comparison, parse_filter


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('userName eq "a@b.org"', [("username", "eq", "a@b.org")]),
        ('USERNAME Eq "a \\"b\\""', [("username", "eq", 'a "b"')]),
        ("active eq true", [("active", "eq", True)]),
        ("active eq False", [("active", "eq", False)]),
        ("externalId pr", [("externalid", "pr", None)]),
        ('displayName sw "A" and active eq true', [("displayname", "sw", "A"), ("active", "eq", True)]),
        ('emails[type eq "work"].value eq "a@b.org"', [('emails[type eq "work"].value', "eq", "a@b.org")]),
        ('urn:ietf:params:scim:schemas:core:2.0:User:userName co "x"', [("username", "co", "x")]),
    ],
)
def test_understood(text: str, found: list[tuple[str, str, object]]) -> None:
    assert [(one.attribute, one.operator, one.value) for one in parse_filter(text)] == found


@pytest.mark.parametrize(
    "text",
    [
        "", "userName", 'userName eq "a" or active eq true', 'not (userName eq "a")', "userName eq a",
        'userName gt "a"',
        'userName eq "a" and', "userName eq 'a'", 'userName eq "a" xx', "x" * 2_000, 'userName eq "\\u0000"',
        'userName eq "\\ud800"', " and ".join(['userName eq "a"'] * 6),
    ],
)  # fmt: skip
def test_refused(text: str) -> None:
    with pytest.raises(ScimError) as refused:
        parse_filter(text)
    assert refused.value.kind == "invalidFilter"


def test_items_of_a_path() -> None:
    item = {"type": "work", "primary": True, "value": "a@b.org"}
    assert Comparison("type", "eq", "WORK").matches(item)
    assert Comparison("primary", "eq", True).matches(item)
    assert not Comparison("primary", "eq", "true").matches(item)
    assert Comparison("value", "pr", None).matches(item)
    assert not Comparison("display", "pr", None).matches(item)
