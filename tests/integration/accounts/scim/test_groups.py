"""Groups that a directory keeps, and those that it never sees."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group

from accounts.models import User
from tests.conftest import make_user
from tests.integration.accounts.scim.conftest import Directory

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis")]


def emails(group: Any) -> set[str]:
    return set(User.objects.filter(groups=int(group)).values_list("email", flat=True))


def test_from_its_creation_to_its_end(directory: Directory) -> None:
    alice, bob = make_user("Alice"), make_user("Bob")
    made = directory.ask(
        "post", "Groups", {"displayName": "Engineering", "externalId": "g", "members": [{"value": str(alice.pk)}]}
    )
    assert made.status_code == 201, made.content
    id_ = made.json()["id"]
    assert emails(id_) == {"alice@example.org"}
    [found] = directory.find("Groups", 'displayName eq "engineering"')
    assert [one["value"] for one in found["members"]] == [str(alice.pk)]
    hidden = directory.ask("get", "Groups", excludedAttributes="members").json()["Resources"]
    assert all("members" not in one for one in hidden)

    add = {"op": "add", "path": "members", "value": [{"value": str(bob.pk)}]}
    remove = {"op": "remove", "path": f'members[value eq "{alice.pk}"]'}
    changed = directory.ask("patch", f"Groups/{id_}", {"Operations": [add, remove]})
    assert (changed.status_code, emails(id_)) == (200, {"bob@example.org"}), changed.content
    assert [one["display"] for one in directory.ask("get", f"Users/{bob.pk}").json()["groups"]] == ["Engineering"]

    assert directory.ask("put", f"Groups/{id_}", {"displayName": "Builders"}).json()["displayName"] == "Builders"
    assert emails(id_) == {"bob@example.org"}
    rename = {"op": "replace", "value": {"id": id_, "displayName": "Makers"}}  # as Entra ID and Okta rename
    assert directory.ask("patch", f"Groups/{id_}", {"Operations": [rename]}).json()["displayName"] == "Makers"

    assert directory.ask("delete", f"Groups/{id_}").status_code == 204
    assert (Group.objects.get(pk=id_).name, emails(id_)) == ("Makers", set())


def test_roles_are_not_theirs(directory: Directory) -> None:
    """A directory that could add people to a role would make them staff."""
    alice = make_user("Alice")
    role = Group.objects.get(name="administrator")
    assert directory.find("Groups", 'displayName eq "administrator"') == []
    assert directory.ask("get", f"Groups/{role.pk}").status_code == 404
    members = {"displayName": "administrator", "members": [{"value": str(alice.pk)}]}
    assert directory.ask("put", f"Groups/{role.pk}", members).status_code == 404
    refused = directory.ask("post", "Groups", members)
    assert (refused.status_code, refused.json()["scimType"]) == (409, "uniqueness")
    assert not alice.groups.exists()


@pytest.mark.parametrize("members", ["x", [{"value": "x"}], [{"value": "0192f5e0-0000-7000-8000-000000000000"}]])
def test_members_that_are_nobody(directory: Directory, members: Any) -> None:
    refused = directory.ask("post", "Groups", {"displayName": "Readers", "members": members})
    assert (refused.status_code, refused.json()["scimType"]) == (400, "invalidValue")
    assert not Group.objects.filter(name="Readers").exists()
