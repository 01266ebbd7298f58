"""Staff view pages as another user: as that user sees them, written down, for a while, and without any effect."""

from __future__ import annotations

import time
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import get_resolver

from accounts import view_as
from accounts.models import AuditEntry, User
from chat.models import Conversation, Member, Message
from tests.conftest import make_user
from tests.fixtures.people import logged_in, make_staff

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis")]
SECRET = "krokodil"
HTML = {"accept": "text/html"}


@pytest.fixture
def sam() -> User:
    return make_staff("view_as_user", "view_user")


@pytest.fixture
def where(alice: User) -> Conversation:
    made = Conversation.objects.create(title="Of Alice", model="m")
    Member.objects.create(conversation=made, user=alice, role="owner")
    first = Message.objects.create(conversation=made, role="user", author=alice, text=SECRET)
    Conversation.objects.filter(pk=made.pk).update(tip=first)
    Member.objects.filter(conversation=made).update(tip=first)
    return made


def begin(client: Client, user: User, reason: str = "She asked why it is slow.") -> Any:
    return client.post(f"/admin/accounts/user/{user.pk}/view-as/", {"reason": reason})


def test_what_the_user_sees(sam: User, alice: User, where: Conversation) -> None:
    browser = logged_in(sam)
    before = Member.objects.values().get(conversation=where)
    assert begin(browser, alice)["Location"] == "/"
    for page in ("/", f"/c/{where.pk}/", "/accounts/settings/account/", "/accounts/usage/"):
        shown = browser.get(page, headers=HTML)
        html = shown.content.decode()
        assert shown.status_code == 200, page
        assert "You view this site as alice@example.org" in html, page
        assert shown["Cache-Control"] == "no-store"
        assert page.startswith("/accounts/") or "js/main" not in html  # no socket, and nothing to press
    assert SECRET in browser.get(f"/c/{where.pk}/", headers=HTML).content.decode()
    assert Member.objects.values().get(conversation=where) == before  # opening it was not noted
    entry = AuditEntry.objects.get(verb="view_as")
    assert (entry.actor, entry.subjects, entry.reason) == (sam, [alice.pk], "She asked why it is slow.")
    read = AuditEntry.objects.filter(verb="view_as_page", conversation_id=where.pk)
    assert [(one.actor, one.subjects) for one in read] == [(sam, [alice.pk])] * 2


def test_nothing_can_be_changed(sam: User, alice: User, where: Conversation) -> None:
    browser = logged_in(sam)
    begin(browser, alice)
    for path, fields in (
        ("/accounts/settings/account/", {"name": "Changed"}), (f"/c/{where.pk}/rename/", {"title": "x"}),
        (f"/c/{where.pk}/delete/", {}), ("/ws/ticket/", {}), ("/accounts/tokens/new/", {"name": "x"}),
    ):  # fmt: skip
        refused = browser.post(path, fields)
        assert (refused.status_code, refused.json()["code"]) == (403, "view_as"), path
        page = browser.post(path, fields, headers=HTML)
        assert (page.status_code, "can change nothing" in page.content.decode()) == (403, True)
        assert "Not while viewing as another user</h1>" in page.content.decode()
    alice.refresh_from_db()
    sam.refresh_from_db()
    assert (alice.name, sam.name) == ("Alice", "Sam")
    assert Conversation.objects.get(pk=where.pk).title == "Of Alice"


def test_only_pages_that_are_meant_for_it(sam: User, alice: User) -> None:
    """Every page of the site without parameters: what is not in the list is refused, secrets before all."""
    browser = logged_in(sam)
    begin(browser, alice)
    allowed = set()
    for entries, _pattern, _defaults, _converters in _paths():
        path = "/" + entries[0][0]
        if "%(" in path or path.startswith(("/admin", "/accounts/logout")):
            continue
        answer = browser.get(path, headers=HTML)
        if answer.status_code == 200 and "You view this site as" in answer.content.decode():
            allowed.add(path)
    assert "/accounts/2fa/recovery-codes/" not in allowed
    assert "/conversations/export/" not in allowed
    assert {"/", "/accounts/settings/", "/accounts/usage/", "/conversations/trash/"} <= allowed
    parts = ("/accounts/", "/conversations/", "/cases/", "/links/", "/presets/", "/prompts/")
    assert {path for path in allowed if not path.startswith(parts)} == {"/"}


def _paths() -> list[Any]:
    found = []
    for namespace in ("", "chat"):
        resolver = get_resolver() if not namespace else get_resolver().namespace_dict[namespace][1]
        for name in {one for one in resolver.reverse_dict if isinstance(one, str)}:
            found += resolver.reverse_dict.getlist(name)
    return found


def test_it_ends(sam: User, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = logged_in(sam)
    begin(browser, alice)
    assert browser.get("/admin/accounts/user/", headers=HTML).status_code == 200  # as oneself
    assert browser.post("/accounts/view-as/end/")["Location"] == f"/admin/accounts/user/{alice.pk}/change/"
    assert "You view this site as" not in browser.get("/", headers=HTML).content.decode()
    assert AuditEntry.objects.filter(verb="view_as_end", actor=sam).exists()
    begin(browser, alice)
    now = time.time()
    monkeypatch.setattr("accounts.view_as.time.time", lambda: now + view_as.SECONDS + 1)
    assert "You view this site as" not in browser.get("/", headers=HTML).content.decode()


def test_it_ends_with_the_permission(sam: User, alice: User) -> None:
    browser = logged_in(sam)
    begin(browser, alice)
    sam.user_permissions.clear()
    assert "You view this site as" not in browser.get("/", headers=HTML).content.decode()


def test_it_ends_outside_of_the_networks_of_staff(sam: User, alice: User, where: Conversation, settings: Any) -> None:
    browser = logged_in(sam)
    begin(browser, alice)
    settings.STAFF_NETWORKS = ["10.1.0.0/16"]
    assert browser.get(f"/c/{where.pk}/", headers=HTML).status_code == 404
    settings.STAFF_NETWORKS = []
    assert "You view this site as" not in browser.get("/", headers=HTML).content.decode()


def test_who_may(sam: User, alice: User) -> None:
    root = User.objects.create_superuser("root@example.org", "x")
    colleague = make_user("Colleague")
    User.objects.filter(pk=colleague.pk).update(is_staff=True)
    colleague.groups.add(Group.objects.get(name="moderator"))
    for user in (root, colleague, sam):
        assert begin(logged_in(sam), user).status_code == 403
    sam.user_permissions.clear()
    assert begin(logged_in(User.objects.get(pk=sam.pk)), alice).status_code == 403
    assert begin(logged_in(alice), alice).status_code in (302, 403)
    assert not AuditEntry.objects.filter(verb="view_as").exists()


def test_why_is_asked(sam: User, alice: User) -> None:
    browser = logged_in(sam)
    assert begin(browser, alice, reason="").status_code == 200
    assert "You view this site as" not in browser.get("/", headers=HTML).content.decode()
