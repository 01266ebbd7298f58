"""The pages of an account: who may open them, and what they show."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from django.urls import get_resolver

from accounts.models import Session, User
from tests.conftest import make_user
from tests.integration.accounts.auth.test_sign_up_and_log_in import log_in

pytestmark = pytest.mark.usefixtures("clean_redis", "db")


PAGES = [
    "/accounts/login/", "/accounts/signup/", "/accounts/password/reset/", "/accounts/password/reset/done/",
    "/accounts/password/reset/key/done/", "/accounts/password/reset/key/x-y/", "/accounts/inactive/",
    "/accounts/confirm-email/", "/accounts/confirm-email/x/", "/accounts/waiting/", "/accounts/password/open/",
    "/accounts/invitation/",
]  # fmt: skip


OWN_PAGES = [
    "/accounts/settings/", "/accounts/settings/account/", "/accounts/settings/sessions/",
    "/accounts/logout/", "/accounts/password/change/", "/accounts/email/",
    "/accounts/reauthenticate/", "/accounts/settings/security/", "/accounts/2fa/totp/activate/",
]  # fmt: skip


class TestPages:
    @pytest.mark.parametrize("path", [*PAGES, *OWN_PAGES])
    def test_are_ours_and_strict(self, alice: User, client: Client, path: str) -> None:
        """Every one is drawn by our card, under the strict policy, with nothing inline and nothing kept by caches."""
        if path in OWN_PAGES:
            log_in(client, alice.email)
        response = client.get(path, follow=True)
        html = response.content.decode()
        assert response.status_code == 200
        assert 'class="auth-card"' in html or 'class="settings-body"' in html
        assert "<h1>" in html
        assert not re.search(r'<style|\sstyle="|\son[a-z]+="|javascript:|<script(?![^>]* (src|nonce)=)', html)
        policy = response["Content-Security-Policy"]
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert (response["X-Frame-Options"], response["X-Content-Type-Options"]) == ("DENY", "nosniff")
        assert response["Referrer-Policy"] == "same-origin"

    def test_own_pages_need_a_login(self, client: Client) -> None:
        for path in OWN_PAGES:
            assert client.get(path)["Location"].startswith(("/accounts/login/", "/accounts/login/?next=")), path

    def test_none_of_allauth_s_is_forgotten(self) -> None:
        """A page that allauth adds in an update is listed here, or dropped, on purpose."""
        known = {
            "account_login", "account_logout", "account_inactive", "account_signup", "account_reauthenticate",
            "account_email", "account_email_verification_sent", "account_change_password", "account_set_password",
            "account_reset_password", "account_confirm_login_code", "account_confirm_email",
            "account_reset_password_from_key_done", "account_reset_password_from_key", "account_reset_password_done",
            "account_language", "account_settings", "account_settings_appearance",
            "account_settings_account", "account_settings_sessions",
            "account_delete", "account_deleted", "account_keep", "account_terms", "account_accept_terms",
            "account_end_other_sessions", "account_end_session",
            "account_api_tokens", "account_api_token_new", "account_api_token_revoke",
            "account_invitation", "account_accept_invitation", "account_waiting", "account_open_reset",
            "account_settings_security", "account_second_factor", "account_remove_password", "account_forget_browsers",
            "account_sso_disconnect", "account_sso_backchannel", "account_view_as_end",
        }  # fmt: skip
        names = {name for name in get_resolver().reverse_dict if isinstance(name, str)}
        assert {name for name in names if name.startswith("account")} == known

    def test_errors_are_tied_to_their_fields(self, client: Client) -> None:
        html = client.post("/accounts/signup/", {"email": "nonsense", "password1": "x"}).content.decode()
        for name in ("email", "password1"):
            (field,) = re.findall(rf'<input[^>]*name="{name}"[^>]*>', html)
            assert 'aria-invalid="true"' in field
            assert f"id_{name}_error" in field
            assert f'id="id_{name}_error"' in html


class TestSettings:
    @pytest.fixture
    def logged_in(self, alice: User) -> Client:
        client = Client(headers={"user-agent": "Mozilla/5.0 (X11; Linux) Firefox/145.0"})
        log_in(client, alice.email)
        return client

    def test_the_name(self, alice: User, logged_in: Client) -> None:
        assert logged_in.post("/accounts/settings/account/", {"name": "Alice <b>"}).status_code == 302
        alice.refresh_from_db()
        assert alice.name == "Alice <b>"
        assert "<b>" not in logged_in.get("/accounts/settings/account/").content.decode()

    def test_nothing_but_the_name(self, alice: User, logged_in: Client) -> None:
        logged_in.post(
            "/accounts/settings/account/",
            {"name": "A", "is_staff": "on", "email": "x@example.org", "is_superuser": "1"},
        )
        alice.refresh_from_db()
        assert (alice.is_staff, alice.is_superuser, alice.email) == (False, False, "alice@example.org")

    def test_shows_one_s_own_sessions(self, alice: User, logged_in: Client) -> None:
        log_in(Client(headers={"user-agent": "curl/8.9.1"}), alice.email)
        log_in(Client(headers={"user-agent": "Mallory/1.0"}), make_user("Mallory").email)
        html = logged_in.get("/accounts/settings/sessions/").content.decode()
        assert "Firefox on Linux" in html
        assert "curl" in html
        assert "this browser" in html
        assert "Mallory" not in html
        assert html.count("/end/") == 1
        for key in Session.objects.values_list("session_key", flat=True):
            assert key not in html
