"""Users in the admin: who sees and changes whom."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from accounts.models import AuditEntry, Session, User
from tests.conftest import PASSWORD, make_user
from tests.integration.chat.admin.staff_pages import page, viewer

pytestmark = pytest.mark.usefixtures("clean_redis", "db")


class TestPeople:
    def act(self, client: Client, action: str, *users: User) -> None:
        chosen = {"action": action, "_selected_action": [str(user.pk) for user in users]}
        client.post("/admin/accounts/user/", {**chosen, "confirmed": "1", "reason": "why not"})

    @pytest.fixture
    def keeper(self, db: None) -> Client:
        return viewer("change_user", "add_user", "delete_user", "disable_user", "end_sessions")

    def test_switching_off(
        self, keeper: Client, alice: User, bob: User, django_capture_on_commit_callbacks: Callable[..., Any]
    ) -> None:
        theirs = Client()
        theirs.force_login(alice)
        with django_capture_on_commit_callbacks() as callbacks:
            self.act(keeper, "switch_off", alice)
        assert callbacks
        alice.refresh_from_db()
        bob.refresh_from_db()
        assert [alice.is_active, bob.is_active] == [False, True]
        assert not Session.objects.filter(user=alice).exists()
        entry = AuditEntry.objects.get()
        assert (entry.verb, entry.reason, entry.subjects) == ("switch_off", "why not", [alice.pk])

    def test_switching_off_asks_why_first(self, keeper: Client, alice: User) -> None:
        chosen = {"action": "switch_off", "_selected_action": [str(alice.pk)]}
        for given in ({}, {"confirmed": "1"}):
            page = keeper.post("/admin/accounts/user/", {**chosen, **given}).content.decode()
            assert 'name="reason"' in page
            assert f'value="{alice.pk}"' in page
        alice.refresh_from_db()
        assert alice.is_active

    def test_ending_sessions(self, keeper: Client, alice: User) -> None:
        theirs = Client()
        theirs.force_login(alice)
        self.act(keeper, "end_sessions", alice)
        alice.refresh_from_db()
        assert alice.is_active
        assert not Session.objects.filter(user=alice).exists()
        assert AuditEntry.objects.get().verb == "end_sessions"

    def test_actions_need_the_permission(self, sam: Client, alice: User) -> None:
        self.act(sam, "switch_off", alice)
        alice.refresh_from_db()
        assert alice.is_active

    def test_staff_are_for_superusers(self, keeper: Client) -> None:
        other = make_user("Other")
        other.is_staff = True
        other.save()
        me = User.objects.get(email="sam@example.org")
        self.act(keeper, "switch_off", other, me)
        for path in ("change", "password", "delete"):
            response = keeper.post(
                f"/admin/accounts/user/{other.pk}/{path}/", {"email": "x@example.org", "post": "yes"}
            )
            assert response.status_code == 403, path
        other.refresh_from_db()
        me.refresh_from_db()
        assert other.is_active
        assert me.is_active

    def test_nobody_gives_themselves_rights(self, keeper: Client, alice: User) -> None:
        form = {"email": alice.email, "name": "A", "is_active": "on", "is_staff": "on", "is_superuser": "on"}
        assert keeper.post(f"/admin/accounts/user/{alice.pk}/change/", form).status_code == 302
        alice.refresh_from_db()
        assert (alice.name, alice.is_staff, alice.is_superuser) == ("A", False, False)

    def test_groups_are_for_superusers(self, db: None) -> None:
        group = Group.objects.create(name="g")
        keeper = viewer("view_group", "change_group", "add_group")
        for path in ("", "add/", f"{group.pk}/change/"):
            assert keeper.get(f"/admin/auth/group/{path}").status_code == 403

    def test_a_new_person(self, keeper: Client) -> None:
        page(keeper, "accounts/user/add")
        form = {
            "email": "New@Example.org",
            "name": "New",
            "password1": "a b c d e f g h",
            "password2": "a b c d e f g h",
        }
        assert keeper.post("/admin/accounts/user/add/", form).status_code == 302
        assert User.objects.get(email="new@example.org").check_password("a b c d e f g h")

    def test_a_new_password_by_staff_ends_sessions(self, keeper: Client, alice: User) -> None:
        theirs = Client()
        theirs.force_login(alice)
        path = f"/admin/accounts/user/{alice.pk}/password/"
        assert keeper.get(path).status_code == 200
        new = "quite another battery"
        assert keeper.post(path, {"password1": new, "password2": new, "usable_password": "true"}).status_code == 302
        assert not Session.objects.filter(user=alice).exists()

    def test_a_new_address_takes_the_place_of_the_old_one(self, keeper: Client, alice: User) -> None:
        from allauth.account.models import EmailAddress

        EmailAddress.objects.create(user=alice, email=alice.email, primary=True, verified=True)
        form = {"email": "Renamed@example.org", "name": "A", "is_active": "on"}
        assert keeper.post(f"/admin/accounts/user/{alice.pk}/change/", form).status_code == 302
        old, new = Client(), Client()
        assert old.post("/accounts/login/", {"login": "alice@example.org", "password": PASSWORD}).status_code == 200
        assert new.post("/accounts/login/", {"login": "renamed@example.org", "password": PASSWORD}).status_code == 302
