"""Maintenance mode: reading goes on, writing is refused with a sentence, staff go on, and everybody is told."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from accounts import site
from accounts.models import AuditEntry, SiteSettings, User
from tests.conftest import PASSWORD, make_user
from tests.fixtures.people import logged_in, staff_client

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clean_redis")]
TEXT = "Back at 14:00 UTC."
HTML = {"accept": "text/html"}


def begin(text: str = "") -> None:
    SiteSettings.objects.update_or_create(pk=1, defaults={"maintenance": True, "maintenance_text": text})
    vars(site)["_known"] = None


@pytest.fixture
def alice_page(alice: User) -> Client:
    return logged_in(alice)


def test_reading_goes_on_and_pages_say_so(alice_page: Client) -> None:
    begin()
    for page in ("/", "/accounts/settings/", "/accounts/login/"):
        shown = (Client() if "login" in page else alice_page).get(page)
        assert shown.status_code == 200
        assert "This site is under maintenance." in shown.content.decode(), page
    assert alice_page.post("/ws/ticket/").status_code == 200


def test_writing_is_refused(alice_page: Client, alice: User) -> None:
    begin(TEXT)
    refused = alice_page.post("/accounts/settings/account/", {"name": "Changed"}, headers=HTML)
    assert refused.status_code == 503
    assert refused["Retry-After"] == "60"
    assert TEXT in refused.content.decode()
    said = alice_page.post("/folders/new/", {"name": "x"})
    assert (said.status_code, said.json()["code"], said.json()["message"]) == (503, "maintenance", TEXT)
    alice.refresh_from_db()
    assert alice.name == "Alice"


def test_staff_go_on_and_can_log_in() -> None:
    browser = staff_client(superuser=True)
    begin()
    assert browser.post("/accounts/settings/account/", {"name": "Changed"}, headers=HTML).status_code == 302
    make_user("Carol")
    assert Client().post("/accounts/login/", {"login": "carol@example.org", "password": PASSWORD}).status_code == 302


def test_the_admin_switches_it(alice_page: Client) -> None:
    browser = staff_client(superuser=True)
    form = {
        "name": "", "accent": "", "accent_dark": "", "banner": "", "banner_kind": "news", "welcome": "",
        "terms": "", "terms_version": "1", "maintenance": "on", "maintenance_text": TEXT, "starter_lines": "",
        "link_lines": "",
    }  # fmt: skip
    assert browser.post("/admin/accounts/sitesettings/", form).status_code == 302
    vars(site)["_known"] = None
    assert site.site().maintenance
    assert TEXT in alice_page.get("/").content.decode()
    assert AuditEntry.objects.get(verb="change").changes["maintenance"] == ["False", "True"]


def run(*words: str) -> Any:
    out = io.StringIO()
    call_command("maintenance", *words, "--json", stdout=out)
    return json.loads(out.getvalue())


def test_the_command() -> None:
    assert run("status") == {"maintenance": False, "text": ""}
    assert run("on", "--text", TEXT) == {"maintenance": True, "text": TEXT}
    assert run("on") == {"maintenance": True, "text": TEXT}
    assert run("off") == {"maintenance": False, "text": TEXT}
    entries = list(AuditEntry.objects.order_by("pk").values_list("verb", "changes"))
    assert [changes["maintenance"] for _, changes in entries] == [["False", "True"], ["True", "False"]]


def test_a_banner_that_was_hidden_is_shown_again() -> None:
    begin()
    first = site.site().banner_id
    SiteSettings.objects.get(pk=1).save()
    vars(site)["_known"] = None
    assert site.site().banner_id != first
