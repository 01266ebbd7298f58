"""Changes of a directory, as real ones send them."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from accounts.scim.errors import ScimError
from accounts.scim.patching import apply_patch

USER: dict[str, Any] = {
    "userName": "ada@example.org",
    "displayName": "Ada",
    "name": {"formatted": "Ada", "givenName": "Ada", "familyName": ""},
    "emails": [{"value": "ada@example.org", "type": "work", "primary": True}],
    "active": True,
}
GROUP: dict[str, Any] = {"displayName": "Readers", "members": [{"value": "1"}, {"value": "2"}]}


def patched(resource: dict[str, Any], *operations: dict[str, Any]) -> dict[str, Any]:
    changed = copy.deepcopy(resource)
    apply_patch(changed, {"Operations": list(operations)})
    return changed


def test_one_attribute() -> None:
    assert patched(USER, {"op": "replace", "path": "active", "value": False})["active"] is False
    assert patched(USER, {"op": "Replace", "path": "ACTIVE", "value": "False"})["active"] == "False"
    urn = "urn:ietf:params:scim:schemas:core:2.0:User:displayName"
    assert patched(USER, {"op": "replace", "path": urn, "value": "Ada L."})["displayName"] == "Ada L."
    assert "displayName" not in patched(USER, {"op": "remove", "path": "displayName"})


def test_part_of_one() -> None:
    assert (
        patched(USER, {"op": "add", "path": "name.familyName", "value": "Lovelace"})["name"]["familyName"] == "Lovelace"
    )
    changed = patched(USER, {"op": "replace", "path": 'emails[type eq "work"].value', "value": "l@example.org"})
    assert changed["emails"] == [{"value": "l@example.org", "type": "work", "primary": True}]
    made = patched(USER, {"op": "add", "path": 'emails[type eq "home"].value', "value": "h@example.org"})
    assert made["emails"][1] == {"type": "home", "value": "h@example.org"}


def test_without_a_path() -> None:
    changed = patched(
        USER, {"op": "replace", "value": {"active": False, "name.familyName": "L", "name": {"givenName": "A"}}}
    )
    assert (changed["active"], changed["name"]) == (False, {"formatted": "Ada", "givenName": "A", "familyName": "L"})


def test_members() -> None:
    def left(*operations: dict[str, Any]) -> list[str]:
        return [one["value"] for one in patched(GROUP, *operations).get("members", [])]

    assert left({"op": "add", "path": "members", "value": [{"value": "2"}, {"value": "3"}]}) == ["1", "2", "3"]
    assert left({"op": "remove", "path": 'members[value eq "1"]'}) == ["2"]
    assert left({"op": "remove", "path": "members", "value": [{"value": "1"}]}) == ["2"]
    assert left({"op": "remove", "path": "members"}) == []
    assert left({"op": "replace", "path": "members", "value": [{"value": "9"}]}) == ["9"]


@pytest.mark.parametrize(
    "body",
    [
        None, [], {}, {"Operations": []}, {"Operations": "x"}, {"Operations": [1]},
        {"Operations": [{"op": "move", "path": "active"}]},
        {"Operations": [{"op": "remove"}]},
        {"Operations": [{"op": "add", "value": 3}]},
        {"Operations": [{"op": "replace", "path": "a..b", "value": 1}]},
        {"Operations": [{"op": "replace", "path": "emails[type or].value", "value": 1}]},
        {"Operations": [{"op": "replace", "path": 'emails[type sw "h"].value', "value": 1}]},
        {"Operations": [{"op": "replace", "path": 'emails[type eq "work"]', "value": 1}]},
    ],
)  # fmt: skip
def test_refused(body: Any) -> None:
    with pytest.raises(ScimError) as refused:
        apply_patch(copy.deepcopy(USER), body)
    assert refused.value.status == 400
