"""Users whom a directory creates, changes and deactivates."""

from __future__ import annotations

from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.utils import timezone

from accounts.auth.api_tokens import RefusedAccess, create_token, find_access
from accounts.erasure import disable
from accounts.models import AuditEntry, ScimToken, User
from chat.models import Conversation, Member, Message
from tests.conftest import make_user
from tests.integration.accounts.auth.listening import Browser
from tests.integration.accounts.scim.conftest import Directory, make_token

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis")]
ADA = {
    "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
    "userName": "Ada@Example.org",
    "externalId": "e-1",
    "displayName": "Ada Lovelace",
    "name": {"givenName": "Ada", "familyName": "Lovelace"},
    "active": True,
}


def switch(value: Any) -> dict[str, Any]:
    return {"Operations": [{"op": "replace", "path": "active", "value": value}]}


def test_created_and_found(directory: Directory) -> None:
    made = directory.ask("post", "Users", ADA)
    assert made.status_code == 201, made.content
    body = made.json()
    assert made["Location"] == body["meta"]["location"] == f"http://testserver/scim/v2/Users/{body['id']}"
    assert made["Content-Type"] == "application/scim+json"
    user = User.objects.get()
    assert (user.email, user.name, user.is_active, user.is_staff) == ("ada@example.org", "Ada Lovelace", True, False)
    assert not user.has_usable_password()
    assert EmailAddress.objects.get(user=user).verified
    make_user("Bob")
    for query in (
        'userName eq "ada@EXAMPLE.org"', 'externalId eq "e-1"', f'id eq "{user.pk}"', 'emails.value sw "ada"',
        'displayName co "love" and active eq true',
    ):  # fmt: skip
        assert [one["id"] for one in directory.find("Users", query)] == [str(user.pk)], query
    assert directory.find("Users", 'userName eq "nobody@example.org"') == []
    page = directory.ask("get", "Users", startIndex="2", count="1").json()
    assert (page["totalResults"], page["startIndex"], page["itemsPerPage"]) == (2, 2, 1)
    entry = AuditEntry.objects.get(verb="scim_create")
    assert (entry.subjects, entry.actor, entry.details.startswith("Entra ID")) == ([user.pk], None, True)


def test_twice_is_a_conflict(directory: Directory) -> None:
    make_user("Ada")
    refused = directory.ask("post", "Users", {**ADA, "userName": "ada@example.org"})
    assert (refused.status_code, refused.json()["scimType"]) == (409, "uniqueness")


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"userName": "ada"}, "invalidValue"),
        ({}, "invalidValue"),
        ({"userName": "ada@example.org", "active": "perhaps"}, "invalidValue"),
        ([], "invalidSyntax"),
    ],
)
def test_what_creates_nobody(directory: Directory, body: Any, kind: str) -> None:
    refused = directory.ask("post", "Users", body)
    assert (refused.status_code, refused.json()["scimType"]) == (400, kind)
    assert not User.objects.exists()


@pytest.mark.parametrize("value", [False, "False", {"active": False}])
def test_deactivated_and_nothing_lost(directory: Directory, value: Any) -> None:
    alice = make_user("Alice")
    browser = Browser(alice)
    _, secret = create_token(alice, "x", ["chat"], days=1)
    where = Conversation.objects.create(title="x")
    Member.objects.create(conversation=where, user=alice, role="owner")
    Message.objects.create(conversation=where, role="user", author=alice, text="mine")
    asked = switch(value) if not isinstance(value, dict) else {"Operations": [{"op": "Replace", "value": value}]}
    answer = directory.ask("patch", f"Users/{alice.pk}", asked)
    assert (answer.status_code, answer.json()["active"]) == (200, False), answer.content
    assert not browser.is_in()
    assert find_access(secret) == RefusedAccess("inactive")
    assert Message.objects.get(author=alice).text == "mine"
    assert AuditEntry.objects.get(verb="scim_change").changes == {"active": ["True", "False"]}
    assert directory.ask("patch", f"Users/{alice.pk}", switch(True)).json()["active"] is True


def test_deleting_deactivates(directory: Directory) -> None:
    alice = make_user("Alice")
    assert directory.ask("delete", f"Users/{alice.pk}").status_code == 204
    alice.refresh_from_db()
    assert not alice.is_active
    assert directory.ask("get", f"Users/{alice.pk}").json()["active"] is False
    assert directory.ask("delete", "Users/5").status_code == 404


def test_whom_staff_have_disabled_stays_so(directory: Directory) -> None:
    alice = make_user("Alice")
    disable(alice)
    answer = directory.ask("patch", f"Users/{alice.pk}", switch(True))
    assert (answer.status_code, answer.json()["active"]) == (200, False)


def test_a_new_address_and_name(directory: Directory) -> None:
    made = directory.ask("post", "Users", ADA).json()
    changed = directory.ask(
        "put", f"Users/{made['id']}", {**ADA, "userName": "ada.l@example.org", "displayName": "A. L."}
    )
    assert (changed.json()["userName"], changed.json()["displayName"]) == ("ada.l@example.org", "A. L.")
    assert EmailAddress.objects.get().email == "ada.l@example.org"
    make_user("Bob")
    refused = directory.ask("put", f"Users/{made['id']}", {**ADA, "userName": "bob@example.org"})
    assert (refused.status_code, refused.json()["scimType"]) == (409, "uniqueness")


def test_superusers_and_the_addresses_of_staff_stay(directory: Directory) -> None:
    root = User.objects.create_superuser("root@example.org", "x")
    sam = make_user("Sam")
    User.objects.filter(pk=sam.pk).update(is_staff=True)
    assert directory.ask("patch", f"Users/{root.pk}", switch(False)).status_code == 403
    assert directory.ask("put", f"Users/{sam.pk}", {"userName": "evil@example.org"}).status_code == 403
    assert User.objects.get(pk=sam.pk).email == "sam@example.org"
    assert directory.ask("patch", f"Users/{sam.pk}", switch(False)).json()["active"] is False  # who leaves, leaves


def test_who_may_ask(settings: Any) -> None:
    token, secret = make_token()
    for bad in ("", "x", secret[:-1] + "_", secret.replace("scim_", "ant_")):
        answer = Directory(bad).ask("get", "Users")
        assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Bearer")
    assert Directory(secret).ask("get", "Users").status_code == 200
    token.refresh_from_db()
    assert token.last_used_at is not None
    settings.RATE_SCIM = "1/h"
    busy = Directory(make_token("Okta")[1])
    assert [busy.ask("get", "Users").status_code for _ in range(2)] == [200, 429]
    ScimToken.objects.update(revoked_at=timezone.now())
    assert Directory(secret).ask("get", "Users").status_code == 401


@pytest.mark.parametrize("path", ["ServiceProviderConfig", "ResourceTypes", "Schemas", "ResourceTypes/User"])
def test_what_it_says_of_itself(directory: Directory, path: str) -> None:
    assert directory.ask("get", path).status_code == 200
    assert directory.ask("post", path, {}).status_code == 405


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("get", "Users/x", 404), ("get", "Nothing", 404), ("post", "Users/x/y", 404), ("put", "Users", 405),
        ("get", "Users?filter=x", 400), ("get", "Users?count=x", 400), ("get", "Users?sortBy=userName", 501),
        ("post", "Users/.search", 501), ("get", "Groups/x", 404), ("get", "Groups/99999999999999999999", 404),
        ("get", 'Users?filter=id eq "%00"', 400), ("get", 'Groups?filter=id eq "x"', 200),
        ("get", 'Users?filter=active eq "yes"', 400),
    ],
)  # fmt: skip
def test_what_is_not_there(directory: Directory, method: str, path: str, status: int) -> None:
    answer = directory.ask(method, path, None if method == "get" else {})
    assert answer.status_code == status, answer.content
    if status != 200:
        assert answer.json()["status"] == str(status)
