"""Log-ins through a real provider: PKCE, linking by verified addresses only, sign-up rules, the second factor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialAccount
from django.test import Client

from accounts import invitations
from accounts.models import AuditEntry, Session, User
from tests.conftest import PASSWORD, make_user
from tests.fixtures.one_time_codes import give_app
from tests.fixtures.people import logged_in, make_staff
from tests.integration.accounts.sso.conftest import Idp, Way, use

pytestmark = [pytest.mark.usefixtures("clean_redis"), pytest.mark.django_db]
LogIn = Callable[..., Way]


def user_of(client: Client) -> str | None:
    return client.session.get("_auth_user_id")


def confirm(user: User) -> None:
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)


class TestNewPeople:
    def test_get_an_account_and_come_back_to_it(self, idp: Idp, client: Client, log_in: LogIn, settings: Any) -> None:
        settings.SIGN_UP = "open"
        idp.person("u1", email="Ana@example.org", email_verified=True, name="Ana Novak")
        way = log_in(client, "u1", after="/accounts/settings/")
        assert way.asked["code_challenge_method"] == "S256"
        assert len(way.asked["code_challenge"]) == 43
        assert set(way.asked["scope"].split()) == {"openid", "profile", "email"}
        assert way.answer["Location"] == "/accounts/settings/"
        ana = User.objects.get(email="ana@example.org")
        assert (ana.name, ana.has_usable_password(), user_of(client)) == ("Ana Novak", False, str(ana.pk))
        assert EmailAddress.objects.get(user=ana).verified
        idp.person("u1", email="renamed@example.org", email_verified=True)
        again = Client()
        log_in(again, "u1")
        assert user_of(again) == str(ana.pk), "the subject says who it is, not the address"
        assert SocialAccount.objects.count() == 1

    def test_by_invitation_only(self, idp: Idp, client: Client, log_in: LogIn, settings: Any) -> None:
        settings.SIGN_UP = "invitation"
        idp.person("u2", email="bea@example.org", email_verified=True)
        assert "Sign-up is closed" in log_in(client, "u2").answer.content.decode()
        assert not User.objects.filter(email="bea@example.org").exists()
        invitations.invite(make_staff(superuser=True), "bea@example.org")
        log_in(client, "u2")
        bea = User.objects.get(email="bea@example.org")
        assert user_of(client) == str(bea.pk)
        assert not invitations.open_invitations().exists(), "it is used"

    def test_with_approval(self, idp: Idp, client: Client, log_in: LogIn, settings: Any) -> None:
        settings.SIGN_UP = "approval"
        idp.person("u3", email="cem@example.org", email_verified=True)
        assert log_in(client, "u3").answer["Location"] == "/accounts/waiting/"
        cem = User.objects.get(email="cem@example.org")
        assert (cem.is_active, cem.awaits_approval, user_of(client)) == (False, True, None)

    def test_unless_the_provider_may_sign_people_up(
        self, idp: Idp, client: Client, log_in: LogIn, settings: Any
    ) -> None:
        settings.SIGN_UP = "invitation"
        use(settings, idp.provider, signs_up=True)
        idp.person("u4", email="dag@example.org", email_verified=True)
        log_in(client, "u4")
        assert user_of(client) == str(User.objects.get(email="dag@example.org").pk)

    @pytest.mark.parametrize(
        "claims", [{}, {"email": "eve@example.org"}, {"email": "eve@example.org", "email_verified": False}]
    )
    def test_not_without_a_verified_address(
        self, claims: dict[str, Any], idp: Idp, client: Client, log_in: LogIn, settings: Any
    ) -> None:
        settings.SIGN_UP = "open"
        idp.person("u5", **claims)
        answer = log_in(client, "u5").answer
        assert answer.status_code == 403
        assert "doesn’t say that your email address is verified" in answer.content.decode()
        assert not User.objects.filter(email="eve@example.org").exists()
        assert AuditEntry.objects.get(verb="sso_refused").details == "acme: unverified"

    def test_unless_the_site_trusts_the_provider_s_addresses(
        self, idp: Idp, client: Client, log_in: LogIn, settings: Any
    ) -> None:
        settings.SIGN_UP = "open"
        use(settings, idp.provider, trusts_email=True)
        idp.person("u6", email="fay@example.org")
        log_in(client, "u6")
        assert user_of(client) == str(User.objects.get(email="fay@example.org").pk)


class TestKnownPeople:
    def test_are_connected_where_both_sides_verified_the_address(
        self, idp: Idp, client: Client, log_in: LogIn, alice: User
    ) -> None:
        confirm(alice)
        idp.person("a1", email="ALICE@example.org", email_verified=True)
        log_in(client, "a1")
        assert user_of(client) == str(alice.pk)
        verbs = list(AuditEntry.objects.values_list("verb", flat=True))
        assert {"sso_connected", "login"} <= set(verbs)
        assert client.post("/ws/ticket/").status_code == 200

    def test_not_where_nobody_confirmed_it_here(self, idp: Idp, client: Client, log_in: LogIn, alice: User) -> None:
        """Somebody could have signed up with it, and would know the password."""
        EmailAddress.objects.create(user=alice, email=alice.email, verified=False, primary=True)
        idp.person("a2", email=alice.email, email_verified=True)
        answer = log_in(client, "a2").answer
        assert answer.status_code == 403
        assert "log in with your password and connect Acme" in answer.content.decode()
        assert user_of(client) is None
        assert not SocialAccount.objects.exists()

    def test_not_where_somebody_is_changing_to_the_address(
        self, idp: Idp, client: Client, log_in: LogIn, alice: User, settings: Any
    ) -> None:
        settings.SIGN_UP = "open"
        EmailAddress.objects.create(user=alice, email="new@example.org", verified=False)
        idp.person("a6", email="new@example.org", email_verified=True)
        assert log_in(client, "a6").answer.status_code == 403
        assert user_of(client) is None
        assert client.post("/accounts/3rdparty/signup/", {"email": "x@example.org"})["Location"] == "/accounts/login/"

    def test_by_themselves_with_a_proof_and_back(self, idp: Idp, log_in: LogIn, alice: User) -> None:
        idp.person("a3", email="elsewhere@example.net", email_verified=True)
        client = logged_in(alice)
        assert log_in(client, "a3", process="connect").answer["Location"] == "/accounts/reauthenticate/"
        assert not SocialAccount.objects.exists()
        client.post("/accounts/reauthenticate/", {"password": PASSWORD})
        assert SocialAccount.objects.get().user_id == alice.pk
        assert "Connected since" in client.get("/accounts/settings/security/").content.decode()
        other = Client()
        log_in(other, "a3")
        assert user_of(other) == str(alice.pk)
        number = SocialAccount.objects.get().pk
        assert logged_in(make_user("Bob")).post(f"/accounts/oidc/connections/{number}/end/").status_code in (302, 404)
        assert SocialAccount.objects.exists()
        client.post(f"/accounts/oidc/connections/{number}/end/")
        assert not SocialAccount.objects.exists()

    def test_nobody_disconnects_their_only_log_in(self, idp: Idp, client: Client, log_in: LogIn, settings: Any) -> None:
        settings.SIGN_UP = "open"
        idp.person("a4", email="gil@example.org", email_verified=True)
        log_in(client, "a4")
        client.post(f"/accounts/oidc/connections/{SocialAccount.objects.get().pk}/end/")
        assert SocialAccount.objects.exists()
        assert "only log-in" in client.get("/accounts/settings/security/").content.decode()

    def test_a_disabled_account_stays_closed(self, idp: Idp, client: Client, log_in: LogIn, alice: User) -> None:
        confirm(alice)
        User.objects.filter(pk=alice.pk).update(is_active=False)
        idp.person("a5", email=alice.email, email_verified=True)
        assert log_in(client, "a5").answer["Location"] == "/accounts/inactive/"
        assert user_of(client) is None


class TestSecondFactor:
    def test_is_asked_for_as_after_a_password(self, idp: Idp, client: Client, log_in: LogIn, alice: User) -> None:
        confirm(alice)
        give_app(alice)
        idp.person("s1", email=alice.email, email_verified=True)
        assert log_in(client, "s1").answer["Location"] == "/accounts/2fa/authenticate/"
        assert user_of(client) is None

    def test_unless_the_provider_asks_for_one(
        self, idp: Idp, client: Client, log_in: LogIn, alice: User, settings: Any
    ) -> None:
        settings.SECOND_FACTOR_REQUIRED, settings.SECOND_FACTOR_GRACE_DAYS = frozenset({"everybody"}), 0
        confirm(alice)
        use(settings, idp.provider, has_second_factor=True)
        idp.person("s2", email=alice.email, email_verified=True)
        log_in(client, "s2")
        assert user_of(client) == str(alice.pk)
        assert client.post("/ws/ticket/").status_code == 200
        by_password = Client()
        by_password.post("/accounts/login/", {"login": alice.email, "password": PASSWORD})
        assert by_password.post("/ws/ticket/").status_code == 403


class TestOnlyProviders:
    @pytest.fixture(autouse=True)
    def only(self, idp: Idp, settings: Any) -> None:
        settings.SSO_ONLY, settings.SSO_EMERGENCY_ADMIN = True, "root@example.org"

    def test_no_password_but_the_emergency_administrator_s(self, alice: User, client: Client) -> None:
        refused = client.post("/accounts/login/", {"login": alice.email, "password": PASSWORD}, follow=True)
        assert "through a provider only" in refused.content.decode()
        assert user_of(client) is None
        root = User.objects.create_superuser("root@example.org", PASSWORD)
        client.post("/accounts/login/", {"login": root.email, "password": PASSWORD})
        assert user_of(client) == str(root.pk)

    def test_nobody_signs_up_or_resets_a_password(self, client: Client) -> None:
        assert "Sign-up is closed" in client.get("/accounts/signup/").content.decode()
        assert "through a provider only" in client.get("/accounts/password/reset/").content.decode()
        page = client.get("/accounts/login/").content.decode()
        assert "Continue with Acme" in page
        assert "emergency administrator" in page

    def test_the_provider_logs_in(self, idp: Idp, client: Client, log_in: LogIn, alice: User) -> None:
        confirm(alice)
        idp.person("o1", email=alice.email, email_verified=True)
        log_in(client, "o1")
        assert user_of(client) == str(alice.pk)


class TestFailures:
    def test_the_provider_is_away(self, idp: Idp, client: Client, settings: Any) -> None:
        use(settings, idp.provider, url="http://127.0.0.1:9")
        page = client.post("/accounts/oidc/acme/login/")
        assert "The log-in failed" in page.content.decode()
        assert client.post("/accounts/oidc/nobody/login/").status_code == 404

    def test_another_issuer_than_the_one_of_the_settings(self, idp: Idp, client: Client, settings: Any) -> None:
        use(settings, idp.provider, url=idp.url.replace("127.0.0.1", "somebody@127.0.0.1"))
        assert "The log-in failed" in client.post("/accounts/oidc/acme/login/").content.decode()

    def test_somebody_who_declines(self, idp: Idp, client: Client) -> None:
        page = client.post("/accounts/oidc/acme/login/")
        state = page.context["address"].partition("state=")[2].partition("&")[0]
        back = client.get(f"/accounts/oidc/acme/login/callback/?error=access_denied&state={state}", follow=True)
        assert "The log-in was cancelled" in back.content.decode()
        forged = client.get("/accounts/oidc/acme/login/callback/?code=x&state=forged")
        assert "The log-in failed" in forged.content.decode()

    def test_a_link_asks_before_it_leads_away(self, idp: Idp, client: Client) -> None:
        page = client.get("/accounts/oidc/acme/login/")
        assert page.status_code == 200
        assert "Continue with Acme" in page.content.decode()
        assert not Session.objects.filter(user__isnull=False).exists()
