"""The admin answers only the networks of STAFF_NETWORKS; and where vulnerabilities are reported."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from tests.fixtures.people import staff_client

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clean_redis")]
PAGES = ("/admin/", "/admin/accounts/user/", "/admin/help/")


@pytest.mark.parametrize(
    ("networks", "address", "allowed"),
    [
        ([], "203.0.113.9", True),
        (["10.1.0.0/16", "2001:db8::/32"], "10.1.2.3", True),
        (["10.1.0.0/16", "2001:db8::/32"], "2001:db8::7", True),
        (["10.1.0.0/16"], "::ffff:10.1.2.3", True),
        (["10.1.0.0/16"], "10.2.0.1", False),
        (["10.1.0.0/16"], "2001:db8::7", False),
        (["10.1.0.7"], "10.1.0.7", True),
    ],
)
def test_from_a_network(settings: Any, networks: list[str], address: str, allowed: bool) -> None:
    settings.STAFF_NETWORKS = networks
    browser = staff_client(superuser=True)
    for page in PAGES:
        answer = browser.get(page, REMOTE_ADDR=address)
        assert answer.status_code == (200 if allowed else 403), page
        assert ("not available from this network" in answer.content.decode()) is not allowed
    assert browser.get("/accounts/settings/", REMOTE_ADDR=address).status_code == 200


def test_who_is_not_logged_in_is_refused_too(settings: Any) -> None:
    settings.STAFF_NETWORKS = ["10.1.0.0/16"]
    assert Client().get("/admin/login/", REMOTE_ADDR="203.0.113.9").status_code in (302, 403)
    assert Client().get("/admin/", REMOTE_ADDR="203.0.113.9").status_code == 403


def test_security_txt(settings: Any) -> None:
    settings.SECURITY_CONTACT = []
    assert Client().get("/.well-known/security.txt").status_code == 404
    settings.SECURITY_CONTACT = ["mailto:security@example.org", "https://example.org/report"]
    settings.SECURITY_POLICY_URL = "https://example.org/policy"
    settings.ALLOWED_ORIGINS = ["https://chat.example.org"]
    answer = Client().get("/.well-known/security.txt")
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    lines = dict(line.split(": ", 1) for line in answer.content.decode().splitlines()[1:])
    assert answer.content.decode().startswith(
        "Contact: mailto:security@example.org\nContact: https://example.org/report"
    )
    expires = datetime.fromisoformat(lines["Expires"])
    assert timedelta(days=30) < expires - datetime.now(UTC) < timedelta(days=365)
    assert lines["Policy"] == "https://example.org/policy"
    assert lines["Canonical"] == "https://chat.example.org/.well-known/security.txt"
