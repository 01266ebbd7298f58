"""Off loopback nobody gets in unasked: by invitation or approval, with a quota, and staff are told where not."""

from __future__ import annotations

import os
from typing import Any

import pytest
from django.core import mail
from django.test import Client

from accounts.models import AuditEntry, Plan, Quota, User
from accounts.quotas.plans import DEFAULT_QUOTAS, create_default_plan
from config.ops.installation_checks import check_sign_up
from tests import forking
from tests.conftest import PASSWORD
from tests.fixtures.people import logged_in, make_staff
from tests.integration.accounts.test_roles import member
from tests.servers import servers

pytestmark = [pytest.mark.usefixtures("clean_redis"), pytest.mark.django_db]
FORM = {"email": "new@example.org", "password1": PASSWORD}
USERS = "/admin/accounts/user/"


def sign_up_setting(**environment: str) -> str:
    script = "from django.conf import settings; print(settings.SIGN_UP, settings.LOOPBACK_ONLY)"
    env = {**os.environ, **servers.environment(), **environment}
    done = forking.run("shell", "--no-imports", "-c", script, env=env)
    return done.stdout.strip() or done.stderr


class TestSetting:
    @pytest.mark.parametrize(
        ("environment", "expected"),
        [
            ({}, "open True"),
            ({"ALLOWED_HOSTS": "chat.example.org"}, "invitation False"),
            ({"ALLOWED_ORIGINS": "https://chat.example.org"}, "invitation False"),
            ({"ALLOWED_HOSTS": "*"}, "invitation False"),
            ({"ALLOWED_HOSTS": "chat.example.org", "SIGN_UP": "open"}, "open False"),
            ({"SIGN_UP": "approval"}, "approval True"),
        ],
    )
    def test_the_default_is_open_for_this_machine_only(self, environment: dict[str, str], expected: str) -> None:
        assert sign_up_setting(**environment) == expected

    @pytest.mark.parametrize(("name", "value"), [("SIGN_UP", "perhaps"), ("SIGNUP_OPEN", "false")])
    def test_what_is_not_understood_stops_the_program(self, name: str, value: str) -> None:
        assert name in sign_up_setting(**{name: value})


class TestApproval:
    @pytest.fixture(autouse=True)
    def _approval(self, settings: Any) -> None:
        settings.SIGN_UP = "approval"

    def test_waits_then_is_approved(self) -> None:
        client = Client()
        page = client.post("/accounts/signup/", FORM, follow=True)
        assert "waiting for approval" in page.content.decode()
        assert "_auth_user_id" not in client.session
        login = {"login": FORM["email"], "password": PASSWORD}
        assert "waiting for approval" in client.post("/accounts/login/", login, follow=True).content.decode()
        sam = member("support")
        staff = logged_in(sam)
        user = User.objects.get(email=FORM["email"])
        assert FORM["email"] in staff.get(USERS, {"approval": "waiting"}).content.decode()
        assert "1 account is awaiting approval" in staff.get("/admin/").content.decode()
        staff.post(USERS, {"action": "approve_accounts", "_selected_action": [str(user.pk)]})
        assert list(AuditEntry.objects.filter(verb="approve").values_list("actor_email", "object_id")) == [
            (sam.email, str(user.pk))
        ]
        assert mail.outbox[-1].to == [FORM["email"]]
        assert "http://testserver/accounts/login/" in str(mail.outbox[-1].body)
        assert client.post("/accounts/login/", login)["Location"] == "/"
        assert FORM["email"] not in staff.get(USERS, {"approval": "waiting"}).content.decode()

    def test_on_the_person_s_page_and_only_with_the_permission(self) -> None:
        Client().post("/accounts/signup/", FORM)
        user = User.objects.get(email=FORM["email"])
        assert logged_in(make_staff("view_user")).post(f"{USERS}{user.pk}/approve/").status_code == 403
        User.objects.filter(email="sam@example.org").delete()
        staff = logged_in(make_staff("view_user", "approve_user", "disable_user"))
        assert "Approve" in staff.get(f"{USERS}{user.pk}/change/").content.decode()
        staff.post(f"{USERS}{user.pk}/switch/on/")  # enabling is not approving
        user.refresh_from_db()
        assert (user.is_active, user.awaits_approval) == (False, True)
        staff.post(f"{USERS}{user.pk}/approve/")
        user.refresh_from_db()
        assert (user.is_active, user.awaits_approval) == (True, False)

    def test_says_the_same_for_a_known_address(self, alice: User, settings: Any) -> None:
        settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
        known, new = (
            Client().post("/accounts/signup/", {**FORM, "email": email})["Location"]
            for email in (alice.email, FORM["email"])
        )
        assert known == new == "/accounts/waiting/"


class TestDefaultQuota:
    @pytest.fixture(autouse=True)
    def _public(self, settings: Any) -> None:
        settings.LOOPBACK_ONLY = False

    def test_a_new_public_site_has_some_that_staff_may_delete(self) -> None:
        """Of messages, and of speech: what is spoken and dictated costs the operator too."""
        create_default_plan()
        plan = Plan.objects.get(is_default=True)
        rows = Quota.objects.filter(plan=plan, period="day", hard=True, model="").values_list("unit", "limit")
        assert dict(rows) == DEFAULT_QUOTAS == {"messages": 200, "audio_seconds": 3600}
        Quota.objects.all().delete()
        create_default_plan()
        assert not Quota.objects.exists()

    def test_not_for_a_site_that_has_users(self, alice: User) -> None:
        create_default_plan()
        assert not Quota.objects.exists()

    def test_not_on_this_machine_only(self, settings: Any) -> None:
        settings.LOOPBACK_ONLY = True
        create_default_plan()
        assert not Quota.objects.exists()

    def test_open_without_a_quota_is_said(self, settings: Any) -> None:
        settings.SIGN_UP = "open"
        staff = logged_in(make_staff("view_plan"))
        assert "without a limit" in staff.get("/admin/").content.decode()
        level, said, advice = check_sign_up("")
        assert (level, "without a limit" in said, "SIGN_UP" in advice) == ("warn", True, True)
        Quota.objects.create(plan=Plan.objects.get(is_default=True), unit="messages", period="day", limit=5)
        assert "without a limit" not in staff.get("/admin/").content.decode()
        assert check_sign_up("")[0] == "ok"
