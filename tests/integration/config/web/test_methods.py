"""Methods that nobody's page asks with, on every address of the site: refused before anything is done or shown."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import Resolver404, resolve

from accounts.models import User
from config.web.methods import MORE
from tests.fixtures.conversation_rows import make_conversation
from tests.fixtures.people import logged_in
from tests.integration.config.web.test_every_address import addresses

pytestmark = [pytest.mark.usefixtures("clean_redis", "db"), pytest.mark.timeout(240)]
METHODS = ("PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "REPORT")


def others(path: str) -> set[str]:
    """The methods that the view of an address takes beside GET, HEAD and POST."""
    try:
        return set(MORE.get(resolve(path).view_name, ()))
    except Resolver404:
        return set()


@pytest.fixture
def every(alice: User) -> list[str]:
    return addresses(make_conversation(alice).pk)


@pytest.fixture(params=["nobody", "a user", "a superuser"])
def client(request: pytest.FixtureRequest, alice: User) -> Client:
    if request.param == "nobody":
        return Client()
    User.objects.filter(pk=alice.pk).update(**dict.fromkeys(("is_staff", "is_superuser"), request.param != "a user"))
    return logged_in(User.objects.get(pk=alice.pk))


def test_they_are_refused_everywhere(client: Client, every: list[str]) -> None:
    kept = set()
    for number, path in enumerate(every):
        method = METHODS[number % len(METHODS)]  # each method at a sixth of them: what refuses is the same for all
        if method in others(path):
            kept.add(path)
            continue
        with CaptureQueriesContext(connection) as asked:
            answer = client.generic(method, path)
        assert answer.status_code in (405, 404, 301), (method, path, answer.status_code)
        assert answer.content == b"" or answer.status_code == 404, path
        assert all(one["sql"].startswith(("SELECT", "SAVEPOINT", "RELEASE")) for one in asked), (method, path)
    assert len(kept) <= len(MORE)


def test_each_of_them(client: Client) -> None:
    for path in ("/", "/accounts/login/", "/admin/", "/admin/accounts/user/", "/conversations/delete-all/", "/models/"):
        for method in METHODS:
            answer = client.generic(method, path)
            assert (answer.status_code, answer["Allow"]) == (405, "GET, HEAD, POST"), (method, path)


def test_head_is_answered_as_get_without_its_content(every: list[str]) -> None:
    client = Client()
    for path in every:
        head = client.head(path)
        assert head.content == b"", path
        assert head.status_code == client.get(path).status_code, path
