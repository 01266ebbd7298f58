"""Log-ins through SAML: whom responses log in, what attributes give, which are refused, and with what words."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.socialaccount.internal.statekit import STATES_SESSION_KEY
from allauth.socialaccount.models import SocialAccount
from django.contrib.auth.models import Group
from django.test import Client
from lxml import etree

from accounts.models import AuditEntry, Plan, Session, User
from tests.conftest import PASSWORD
from tests.fixtures.one_time_codes import give_app
from tests.fixtures.people import logged_in
from tests.fixtures.saml_provider import FORMATS, NS, Keys, encrypt, metadata, read_question, response
from tests.integration.accounts.sso.saml import ACS, LOGIN, SITE, Idp, person
from tests.integration.accounts.sso.test_log_in import confirm, user_of

pytestmark = [pytest.mark.usefixtures("clean_redis"), pytest.mark.django_db]
ANA = person("Ana@example.org", displayName="Ana Novak")


class TestLogIn:
    def test_a_new_account_and_back_to_it(self, saml: Idp, client: Client, settings: Any) -> None:
        settings.SIGN_UP = "open"
        assert saml.log_in(client, ANA, after="/accounts/settings/")["Location"] == "/accounts/settings/"
        ana = User.objects.get(email="ana@example.org")
        assert (ana.name, ana.has_usable_password(), user_of(client)) == ("Ana Novak", False, str(ana.pk))
        assert EmailAddress.objects.get(user=ana).verified
        again = Client()
        saml.log_in(again, person("renamed@example.org"), signs="response")
        assert user_of(again) == str(ana.pk), "the NameID says who it is, not the address"
        assert SocialAccount.objects.get().provider == "acme"
        assert "Connected since" in again.get("/accounts/settings/security/").content.decode()

    def test_the_question(self, saml: Idp, client: Client) -> None:
        asked = saml.ask(client)
        assert (asked.issuer, asked.acs) == (f"{SITE}/accounts/saml/acme/metadata/", SITE + ACS)
        assert "Signature" not in asked.query
        ours = Keys()
        saml.use(saml={"key": ours.pem.decode(), "certificate": ours.certificate.decode()})
        assert saml.ask(client).query["SigAlg"].endswith("rsa-sha256")
        told = client.get("/accounts/saml/acme/metadata/")
        assert told["Content-Type"] == "application/samlmetadata+xml"
        assert "".join(ours.certificate.decode().splitlines()[1:-1])[:60] in told.content.decode().replace("\n", "")

    def test_encrypted_assertions_with_a_key_of_ours(self, saml: Idp, client: Client, settings: Any) -> None:
        settings.SIGN_UP = "open"
        ours = Keys()
        saml.use(saml={"key": ours.pem.decode(), "certificate": ours.certificate.decode()})
        for_others = encrypt(response(saml.keys, saml.ask(client), ANA), Keys().certificate)
        assert "can’t be read" in saml.answer(client, for_others).content.decode()
        of_others = encrypt(response(Keys(), saml.ask(client), ANA), ours.certificate)
        assert "isn’t signed by Acme" in saml.answer(client, of_others).content.decode()
        assert not User.objects.exists()
        saml.answer(client, encrypt(response(saml.keys, saml.ask(client), ANA), ours.certificate))
        assert user_of(client) == str(User.objects.get(email="ana@example.org").pk)

    def test_by_invitation_only(self, saml: Idp, client: Client, settings: Any) -> None:
        settings.SIGN_UP = "invitation"
        assert "Sign-up is closed" in saml.log_in(client, ANA).content.decode()
        saml.use(signs_up=True)
        saml.log_in(client, ANA)
        assert user_of(client) == str(User.objects.get(email="ana@example.org").pk)

    def test_attributes_come_and_go(self, saml: Idp, alice: User) -> None:
        Group.objects.create(name="Engineering")
        Plan.objects.create(name="Pro")
        confirm(alice)
        saml.use(groups=(("eng", "Engineering"), ("helpdesk", "support")), plans=(("paid", "Pro"),),
                staff=frozenset({"helpdesk"}))  # fmt: skip

        def come(*values: str) -> tuple[set[str], str | None, bool]:
            assert saml.log_in(Client(), person(alice.email, *values))["Location"] == "/"
            alice.refresh_from_db()
            plan = alice.plan.name if alice.plan else None
            return set(alice.groups.values_list("name", flat=True)), plan, alice.is_staff

        assert come("eng", "helpdesk", "paid") == ({"Engineering", "support"}, "Pro", True)
        assert come("eng") == ({"Engineering"}, None, False)
        assert come() == (set(), None, False)
        assert AuditEntry.objects.filter(verb="sso_claims_applied").count() == 3

    def test_an_account_is_connected_by_a_verified_address_only(
        self,
        saml: Idp,
        client: Client,
        alice: User,
    ) -> None:
        address = EmailAddress.objects.create(user=alice, email=alice.email, verified=False, primary=True)
        assert "never confirmed" in saml.log_in(client, person(alice.email)).content.decode()
        EmailAddress.objects.filter(pk=address.pk).update(verified=True)
        saml.use(trusts_email=False)
        assert (
            "doesn’t say that your email address is verified"
            in saml.log_in(client, person(alice.email)).content.decode()
        )
        assert user_of(client) is None
        saml.log_in(client, person(alice.email, email_verified="true"))
        assert user_of(client) == str(alice.pk)

    def test_connected_by_its_owner(self, saml: Idp, alice: User) -> None:
        client = logged_in(alice)
        client.post("/accounts/reauthenticate/", {"password": PASSWORD})
        asked = saml.ask(client, process="connect")
        assert saml.answer(client, response(saml.keys, asked, person("other@example.org")))["Location"]
        assert SocialAccount.objects.get(user=alice).uid == "n-1"

    def test_the_second_factor_unless_the_provider_asks_for_one(
        self,
        saml: Idp,
        client: Client,
        alice: User,
    ) -> None:
        confirm(alice)
        give_app(alice)
        assert saml.log_in(client, person(alice.email))["Location"] == "/accounts/2fa/authenticate/"
        assert user_of(client) is None
        saml.use(has_second_factor=True)
        saml.log_in(client, person(alice.email))
        assert user_of(client) == str(alice.pk)

    def test_as_the_only_way(self, saml: Idp, client: Client, alice: User, settings: Any) -> None:
        settings.SSO_ONLY, settings.SSO_EMERGENCY_ADMIN = True, "root@example.org"
        confirm(alice)
        page = client.get("/accounts/login/").content.decode()
        assert f'action="{LOGIN}"' in page
        client.post("/accounts/login/", {"login": alice.email, "password": PASSWORD})
        assert user_of(client) is None
        saml.log_in(client, person(alice.email))
        assert user_of(client) == str(alice.pk)

    def test_a_disabled_account_stays_closed(self, saml: Idp, client: Client, alice: User) -> None:
        confirm(alice)
        User.objects.filter(pk=alice.pk).update(is_active=False)
        assert saml.log_in(client, person(alice.email))["Location"] == "/accounts/inactive/"
        assert user_of(client) is None


class TestRefusals:
    @pytest.fixture(autouse=True)
    def open_to_all(self, saml: Idp, settings: Any) -> None:
        settings.SIGN_UP = "open"

    @pytest.mark.parametrize(
        ("changed", "why"),
        [
            ({"signs": ""}, "isn’t signed by Acme"),
            ({"sha1": True}, "isn’t signed by Acme"),
            ({"issuer": "https://other.example"}, "isn’t signed by Acme"),
            ({"ends": -400}, "no longer valid"),
            ({"begins": 900, "ends": 1200}, "or not yet"),
            ({"audience": "https://other.example"}, "meant for another site"),
            ({"audience": ""}, "meant for another site"),
            ({"recipient": "https://other.example/acs/"}, "meant for another site"),
            ({"destination": "https://other.example/acs/"}, "meant for another site"),
            ({"recipient": "https://other.example/acs/", "destination": SITE + ACS}, "no longer valid"),
            ({"answers": ""}, "didn’t ask Acme"),
            ({"answers": "ONELOGIN_of_another_browser"}, "didn’t ask Acme"),
            ({"status": "AuthnFailed"}, "Acme didn’t log you in"),
            ({"format": FORMATS + "transient"}, "a persistent NameID"),
            ({"name_id": ""}, "a persistent NameID"),
        ],
    )
    def test_of_what_is_wrong_in_one_thing(
        self,
        changed: dict[str, Any],
        why: str,
        saml: Idp,
        client: Client,
    ) -> None:
        answer = saml.log_in(client, ANA, **changed)
        assert (answer.status_code, why in answer.content.decode()) == (403, True), answer.content.decode()
        assert "Back to log-in" in answer.content.decode()
        assert user_of(client) is None
        assert not User.objects.exists()

    def test_of_another_key_and_of_a_changed_text(self, saml: Idp, client: Client) -> None:
        theirs = response(Keys(), saml.ask(client), ANA)
        assert "isn’t signed by Acme" in saml.answer(client, theirs).content.decode()
        changed = response(saml.keys, saml.ask(client), ANA)
        changed.find(".//saml:NameID", NS).text = "n-2"
        assert "isn’t signed by Acme" in saml.answer(client, changed).content.decode()
        assert not User.objects.exists()
        assert AuditEntry.objects.filter(verb="sso_refused", details="acme: signature").count() == 2

    def test_of_a_response_that_was_used(self, saml: Idp, client: Client) -> None:
        used = response(saml.keys, saml.ask(client), ANA)
        saml.answer(client, used)
        ana = user_of(client)
        assert ana is not None
        thief = Client()
        assert "was used already" in saml.answer(thief, used).content.decode()
        assert user_of(thief) is None

    def test_of_another_browser_s(self, saml: Idp, client: Client) -> None:
        """An attacker's own response must not log a victim in as the attacker."""
        posted = response(saml.keys, saml.ask(Client()), ANA)
        assert "didn’t ask Acme" in saml.answer(client, posted).content.decode()
        assert user_of(client) is None

    @pytest.mark.parametrize(("seconds", "comes_in"), [(590, True), (610, False)])
    def test_of_a_question_that_was_asked_long_ago(
        self, seconds: int, comes_in: bool, saml: Idp, client: Client
    ) -> None:
        asked = saml.ask(client)
        session = client.session
        state, at, provider = session[STATES_SESSION_KEY][asked.id]
        session[STATES_SESSION_KEY] = {asked.id: (state, at - seconds, provider)}
        session.save()
        answer = saml.answer(client, response(saml.keys, asked, ANA))
        assert (user_of(client) is not None, "didn’t ask Acme" in answer.content.decode()) == (comes_in, not comes_in)

    @pytest.mark.parametrize("text", ["", "%%%", base64.b64encode(b"<a").decode(), "x" * 400_001])
    def test_of_what_is_no_response(self, text: str, saml: Idp, client: Client) -> None:
        assert "can’t be read" in saml.answer(client, text).content.decode()

    def test_of_entities(self, saml: Idp, client: Client) -> None:
        document = etree.tostring(response(saml.keys, saml.ask(client), ANA)).decode()
        bomb = '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]>' + document.replace("n-1", "&b;")
        answer = saml.answer(client, base64.b64encode(bomb.encode()).decode())
        assert "can’t be read" in answer.content.decode()

    def test_of_a_document_type(self, saml: Idp, client: Client) -> None:
        """Also of one that says nothing: what is signed does not have it."""
        document = etree.tostring(response(saml.keys, saml.ask(client), ANA)).decode()
        answer = saml.answer(client, base64.b64encode(f"<!DOCTYPE Response>{document}".encode()).decode())
        assert "can’t be read" in answer.content.decode()
        assert user_of(client) is None

    def test_nothing_is_kept_of_what_is_refused(self, saml: Idp, client: Client) -> None:
        asked = saml.ask(client)
        before = Session.objects.count()
        saml.answer(client, response(Keys(), asked, ANA))
        assert Session.objects.count() == before

    def test_comments_hide_nothing(self, saml: Idp, client: Client) -> None:
        saml.log_in(client, person("ana@example.org"), name_id="n-1<!-- -->.evil")
        assert SocialAccount.objects.get().uid == "n-1.evil"


class TestMetadata:
    def test_that_cannot_be_read_or_used(self, saml: Idp, client: Client) -> None:
        for text in ("<a/>", "nothing", metadata(saml.keys).replace("SingleSignOnService", "Nothing")):
            saml.use(text=text)
            page = client.post(LOGIN)
            assert (page.status_code, "can’t read what Acme publishes" in page.content.decode()) == (503, True), text
        saml.use(text=metadata(saml.keys), saml={"entity_id": "https://other.example"})
        assert client.post(LOGIN).status_code == 503
        saml.use(saml={"entity_id": "", "metadata": "http://127.0.0.1:9/metadata"})
        assert client.post(LOGIN).status_code == 503

    def test_addresses_of_other_providers(self, saml: Idp, client: Client) -> None:
        for path in ("login", "acs", "acs/finish", "sls", "metadata"):
            assert client.get(f"/accounts/saml/other/{path}/").status_code in (404, 405)
        assert client.post("/accounts/oidc/acme/login/").status_code == 404
        assert client.post("/accounts/saml/other/acs/").status_code == 404
        assert "Continue with Acme" in client.get(LOGIN).content.decode()
        assert read_question(client.post(LOGIN).context["address"]).xml.get("ID")
