"""Single log-out of SAML: ours leads to the provider's, and the provider's ends our sessions and their sockets."""

from __future__ import annotations

import base64
import zlib
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client
from lxml import etree

from accounts.auth.revocation import session_group, session_hash
from accounts.models import AuditEntry, Session, User
from tests.fixtures.people import logged_in
from tests.fixtures.saml_provider import NS, Keys, logout_request, metadata, read_question
from tests.integration.accounts.auth.conftest import ear  # noqa: F401  # a fixture
from tests.integration.accounts.auth.listening import Ear
from tests.integration.accounts.sso.saml import SITE, SLS, Idp, person
from tests.integration.accounts.sso.test_log_in import confirm

pytestmark = [pytest.mark.usefixtures("clean_redis"), pytest.mark.django_db]


def came_from_there(saml: Idp, alice: User, **said: Any) -> Client:
    client = Client()
    saml.log_in(client, person(alice.email), **said)
    assert client.post("/ws/ticket/").status_code == 200
    return client


@pytest.fixture(autouse=True)
def confirmed(alice: User) -> None:
    confirm(alice)


@pytest.mark.django_db(transaction=True)
def test_the_provider_s_ends_sessions_and_sockets(saml: Idp, alice: User, ear: Ear) -> None:  # noqa: F811
    """Brought by a browser without the session, as in a frame of the provider's page."""
    client, other, by_password = (
        came_from_there(saml, alice),
        came_from_there(saml, alice, session="s-2"),
        logged_in(alice),
    )
    key = client.session.session_key
    assert key is not None
    ear.listen(session_group(session_hash(key)))
    answer = Client().get(logout_request(saml.keys, SITE + SLS).removeprefix(SITE))
    assert answer.status_code == 302, answer.content.decode()
    assert client.post("/ws/ticket/").status_code == 403
    assert [one.post("/ws/ticket/").status_code for one in (other, by_password)] == [200, 200]
    assert session_group(session_hash(key)) in ear.heard()
    assert AuditEntry.objects.filter(verb="sso_single_logout", object_id=str(alice.pk)).count() == 1
    query = {name: values[0] for name, values in parse_qs(urlsplit(answer["Location"]).query).items()}
    assert answer["Location"].startswith("https://idp.example.org/slo?")
    assert query["RelayState"] == "there"
    told = etree.fromstring(zlib.decompress(base64.b64decode(query["SAMLResponse"]), -15))
    assert told.find(".//samlp:StatusCode", NS).get("Value").endswith(":Success")


def test_of_all_sessions_in_the_browser_that_has_one(saml: Idp, alice: User) -> None:
    one, two = came_from_there(saml, alice), came_from_there(saml, alice, session="s-2")
    assert one.get(logout_request(saml.keys, SITE + SLS, sessions=[]).removeprefix(SITE)).status_code == 302
    assert [client.post("/ws/ticket/").status_code for client in (one, two)] == [403, 403]
    assert one.get("/accounts/login/").status_code == 200


def test_our_log_out_leads_to_the_provider_s(saml: Idp, alice: User) -> None:
    ours = Keys()
    saml.use(saml={"key": ours.pem.decode(), "certificate": ours.certificate.decode()})
    client = came_from_there(saml, alice)
    page = client.post("/accounts/logout/")
    assert not Session.objects.filter(user=alice).exists()
    asked = read_question(page.context["address"])
    assert page.context["address"].startswith("https://idp.example.org/slo?")
    assert asked.xml.findtext("saml:NameID", namespaces=NS) == "n-1"
    assert asked.xml.findtext("samlp:SessionIndex", namespaces=NS) == "s-1"
    assert "Signature" in asked.query
    back = client.get(SLS, {"SAMLResponse": "x", "RelayState": "https://elsewhere.example/"})
    assert back["Location"] == "/accounts/login/"


def test_a_provider_without_log_out_and_one_that_is_away(saml: Idp, alice: User) -> None:
    saml.use(text=metadata(saml.keys, logs_out=False))
    assert came_from_there(saml, alice).post("/accounts/logout/")["Location"] == "/accounts/login/"
    client = came_from_there(saml, alice)
    saml.use(text="<a/>")
    assert client.post("/accounts/logout/")["Location"] == "/accounts/login/"
    assert not Session.objects.filter(user=alice).exists()


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"keys": None}, "isn’t signed by Acme"),
        ({"keys": Keys()}, "isn’t signed by Acme"),
        ({"issuer": "https://other.example"}, "isn’t signed by Acme"),
        ({"ends": -400}, "no longer valid"),
        ({"address": "https://other.example/sls/"}, "meant for another site"),
    ],
)
def test_log_outs_that_are_refused(wrong: dict[str, Any], why: str, saml: Idp, alice: User) -> None:
    client = came_from_there(saml, alice)
    said = {"keys": saml.keys, "address": SITE + SLS, **wrong}
    address = logout_request(said.pop("keys"), said.pop("address"), **said)
    answer = client.get(SLS + "?" + urlsplit(address).query)
    assert (answer.status_code, why in answer.content.decode()) == (403, True), answer.content.decode()
    assert "The log-out failed" in answer.content.decode()
    assert client.post("/ws/ticket/").status_code == 200


def test_once_only(saml: Idp, alice: User) -> None:
    address = logout_request(saml.keys, SITE + SLS).removeprefix(SITE)
    assert Client().get(address).status_code == 302
    client = came_from_there(saml, alice)
    assert "was used already" in client.get(address).content.decode()
    assert client.post("/ws/ticket/").status_code == 200
