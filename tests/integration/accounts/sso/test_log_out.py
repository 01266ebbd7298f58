"""Log-out at both ends: ours leads to the provider's, and the provider's ends our sessions and their sockets."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client
from joserfc import jwt as jose
from joserfc.jwk import OctKey, RSAKey

from accounts.auth.revocation import session_group, session_hash
from accounts.models import AuditEntry, Session, User
from accounts.sso.logout_tokens import EVENT
from accounts.sso.sessions import name_of
from tests.fixtures.people import logged_in
from tests.integration.accounts.auth.conftest import ear  # noqa: F401  # a fixture
from tests.integration.accounts.auth.listening import Ear
from tests.integration.accounts.sso.conftest import Idp
from tests.integration.accounts.sso.test_log_in import LogIn, confirm

pytestmark = [pytest.mark.usefixtures("clean_redis"), pytest.mark.django_db]
BACK = "/accounts/oidc/acme/back-channel/"


def logged_in_there(idp: Idp, alice: User, log_in: LogIn) -> Client:
    confirm(alice)
    idp.person("sub-of-alice", email=alice.email, email_verified=True)
    client = Client()
    log_in(client, "sub-of-alice")
    return client


def test_our_log_out_leads_to_the_provider_s(idp: Idp, alice: User, log_in: LogIn) -> None:
    client = logged_in_there(idp, alice, log_in)
    page = client.post("/accounts/logout/")
    assert not Session.objects.filter(user=alice).exists()
    address = page.context["address"]
    asked = parse_qs(urlsplit(address).query)
    assert address.startswith(f"{idp.url}/oauth2/end_session?")
    assert asked["post_logout_redirect_uri"] == ["http://testserver/accounts/login/"]
    assert asked["client_id"] == ["antiphon"]
    assert asked["id_token_hint"][0].count(".") == 2
    assert logged_in(alice).post("/accounts/logout/")["Location"] == "/accounts/login/", "not for a log-in by password"


def test_a_provider_that_is_away_keeps_nobody_logged_in(idp: Idp, alice: User, log_in: LogIn, settings: Any) -> None:
    from tests.integration.accounts.sso.conftest import use

    client = logged_in_there(idp, alice, log_in)
    use(settings, idp.provider, url="http://127.0.0.1:9")
    assert client.post("/accounts/logout/")["Location"] == "/accounts/login/"
    assert not Session.objects.filter(user=alice).exists()


@pytest.mark.django_db(transaction=True)
def test_the_provider_s_ends_sessions_and_sockets(idp: Idp, alice: User, log_in: LogIn, ear: Ear) -> None:  # noqa: F811
    client, by_password = logged_in_there(idp, alice, log_in), logged_in(alice)
    key = client.session.session_key
    assert key is not None
    ear.listen(session_group(session_hash(key)))
    began = time.monotonic()
    answer = Client(enforce_csrf_checks=True).post(BACK, {"logout_token": idp.logout_token(sub="sub-of-alice")})
    took = time.monotonic() - began
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]
    assert not Session.objects.filter(pk=key).exists()
    assert client.post("/ws/ticket/").status_code == 403
    assert by_password.post("/ws/ticket/").status_code == 200, "a session that did not come from there stays"
    assert took < 2, took
    assert session_group(session_hash(key)) in ear.heard()
    assert AuditEntry.objects.filter(verb="sso_back_channel_logout", object_id=str(alice.pk)).count() == 1


def test_by_the_provider_s_session_alone(idp: Idp, alice: User, log_in: LogIn) -> None:
    one, two = logged_in_there(idp, alice, log_in), Client()
    log_in(two, "sub-of-alice")
    for client, sid in ((one, "s-1"), (two, "s-2")):
        Session.objects.filter(pk=client.session.session_key).update(sso_session=name_of("acme", "sid", sid))
    assert Client().post(BACK, {"logout_token": idp.logout_token(sid="s-1")}).status_code == 200
    assert [one.post("/ws/ticket/").status_code, two.post("/ws/ticket/").status_code] == [403, 200]


class TestRefusals:
    @pytest.mark.parametrize(
        "wrong",
        [
            {"iss": "https://other.example"},
            {"aud": "another client"},
            {"aud": None},
            {"iat": None},
            {"jti": None},
            {"iat": int(time.time()) - 3600, "exp": None},
            {"exp": int(time.time()) - 3600},
            {"events": None},
            {"events": {"something": {}}},
            {"events": {EVENT: "text"}},
            {"nonce": "n"},
            {"sub": None},
            {"sub": 7},
        ],
    )
    def test_of_tokens_that_say_something_else(
        self, wrong: dict[str, Any], idp: Idp, alice: User, log_in: LogIn
    ) -> None:
        client = logged_in_there(idp, alice, log_in)
        answer = Client().post(BACK, {"logout_token": idp.logout_token(**{"sub": "sub-of-alice", **wrong})})
        assert answer.status_code == 400, answer.content
        assert answer.json()["error"] == "invalid_request"
        assert client.post("/ws/ticket/").status_code == 200

    def test_of_tokens_that_others_signed_and_of_none(self, idp: Idp, alice: User, log_in: LogIn) -> None:
        client = logged_in_there(idp, alice, log_in)
        valid = idp.logout_token(sub="sub-of-alice")
        claims = jose.decode(valid, idp.key).claims
        header = {"kid": idp.key.thumbprint()}
        secret = OctKey.import_key("a secret of the client, which the provider knows too")
        tokens = [
            "", "x", valid[:-4] + "AAAA",
            jose.encode({"alg": "RS256", **header}, claims, RSAKey.generate_key(2048)),
            jose.encode({"alg": "RS256", "kid": "unknown"}, claims, idp.key),
            jose.encode({"alg": "HS256", **header}, claims, secret),
            jose.encode({"alg": "RS256", **header, "typ": "at+jwt"}, claims, idp.key),
        ]  # fmt: skip
        for token in tokens:
            assert Client().post(BACK, {"logout_token": token}).status_code == 400, token
        assert client.post("/ws/ticket/").status_code == 200

    def test_of_a_token_that_was_used(self, idp: Idp) -> None:
        token = idp.logout_token(sub="nobody here")
        assert [Client().post(BACK, {"logout_token": token}).status_code for _ in range(2)] == [200, 400]

    def test_beyond_a_rate(self, idp: Idp, settings: Any) -> None:
        settings.RATE_SSO_LOGOUTS = "1/d"
        answers = [Client().post(BACK, {"logout_token": "x"}) for _ in range(2)]
        assert [one.status_code for one in answers] == [400, 429]

    def test_of_unknown_providers(self, idp: Idp) -> None:
        assert Client().post("/accounts/oidc/other/back-channel/").status_code == 404
        assert Client().get(BACK).status_code == 405
