"""Who may ask what of SCIM: identity by address and verb. Only a directory's own token that works opens anything."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.utils import timezone

from accounts.auth.api_tokens import create_token
from accounts.models import AuditEntry, ScimToken, TokenScope, User
from accounts.scim import discovery
from accounts.views.scim import KINDS
from tests.conftest import make_user
from tests.fixtures.people import logged_in
from tests.integration.accounts.scim.conftest import make_token

pytestmark = pytest.mark.usefixtures("clean_redis", "db")

VERBS: Final = ("get", "post", "put", "patch", "delete")
DESCRIBING: Final = ("ServiceProviderConfig", "ResourceTypes", "Schemas")
LISTS, ROWS, DESCRIBED = {"get", "post"}, {"get", "put", "patch", "delete"}, {"get"}


def browser(user: User | None = None, token: str = "") -> Client:
    client = logged_in(user) if user is not None else Client()
    if token:
        client.defaults["HTTP_AUTHORIZATION"] = f"Bearer {token}"
    return client


def superuser() -> User:
    user = make_user("Root")
    User.objects.filter(pk=user.pk).update(is_staff=True, is_superuser=True)
    return User.objects.get(pk=user.pk)


def revoked() -> str:
    row, secret = make_token()
    ScimToken.objects.filter(pk=row.pk).update(revoked_at=timezone.now())
    return secret


WHO: Final[dict[str, Callable[[], Client]]] = {
    "nobody": browser,
    "a superuser's browser": lambda: browser(superuser()),
    "a superuser's API token": lambda: browser(
        token=create_token(superuser(), "x", TokenScope.values, days=1)[1]
    ),
    "a revoked token": lambda: browser(token=revoked()),
    "another secret": lambda: browser(token=make_token()[1][:-2] + "__"),
}  # fmt: skip


@pytest.fixture
def places(settings: Any) -> dict[str, set[str]]:
    """Each address with the verbs that it serves."""
    settings.RATE_API_REFUSED = "off"
    user, group = make_user("Sam"), Group.objects.create(name="plain")
    rows = {"Users": user.pk, "Groups": group.pk}
    return {
        **dict.fromkeys(KINDS, LISTS),
        **{f"{kind}/{rows[kind]}": ROWS for kind in KINDS},
        **dict.fromkeys(DESCRIBING, DESCRIBED),
        "Nothing": set(),
    }


def made(place: str, name: str) -> dict[str, Any]:
    if place.startswith("Groups"):
        return {"displayName": name}
    email = f"{name}@example.org"
    return {"userName": email, "emails": [{"value": email}], "active": True}


def ask(client: Client, verb: str, place: str) -> int:
    body = made(place, "new" if verb == "post" else "other")
    if verb == "patch":
        body = {"Operations": [{"op": "replace", "value": {"displayName": "Changed"}}]}
    sent = {} if verb == "get" else {"data": json.dumps(body), "content_type": "application/scim+json"}
    return int(getattr(client, verb)(f"/scim/v2/{place}", **sent).status_code)


@pytest.mark.parametrize("who", WHO.values(), ids=WHO.keys())
def test_nobody_else_is_told_or_changes_anything(places: dict[str, set[str]], who: Callable[[], Client]) -> None:
    client = who()
    before = [*User.objects.order_by("pk").values(), *Group.objects.values()]
    assert {ask(client, verb, place) for place in places for verb in VERBS} == {401}
    assert [*User.objects.order_by("pk").values(), *Group.objects.values()] == before
    assert not AuditEntry.objects.filter(verb__startswith="scim_").exists()


def test_a_directory_may_do_what_each_address_serves(places: dict[str, set[str]]) -> None:
    client = browser(token=make_token()[1])
    done = {place: {verb for verb in VERBS if ask(client, verb, place) < 400} for place in places}
    assert done == places


def test_a_directory_s_token_opens_nothing_else(alice: User) -> None:
    client = browser(token=make_token()[1])
    assert client.get("/accounts/tokens/").status_code == 302
    assert client.get("/admin/").status_code == 302


def test_every_address_is_in_the_grid(places: dict[str, set[str]]) -> None:
    named = {place.partition("/")[0] for place in places}
    types = {one["endpoint"].rpartition("/")[2] for one in discovery.resource_types("http://x/scim/v2")}
    assert types == set(KINDS)
    assert {*KINDS, *DESCRIBING} <= named
