"""A link that logs somebody in is in no log: fragments, staff's one-time links, no mail without a mail server."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.core import mail
from django.test import Client

from accounts.models import AuditEntry, User
from tests.conftest import PASSWORD
from tests.fixtures.people import logged_in, make_staff
from tests.integration.accounts.test_roles import member

pytestmark = [pytest.mark.usefixtures("clean_redis"), pytest.mark.django_db]
NEW = "quite another battery"


@pytest.fixture
def no_mail(settings: Any) -> None:
    settings.EMAIL_HOST = ""
    settings.EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"


def address(user: User) -> str:
    return f"/admin/accounts/user/{user.pk}/reset-link/"


@pytest.mark.usefixtures("no_mail")
def test_without_a_mail_server_no_reset_is_written_anywhere(
    alice: User, capfd: pytest.CaptureFixture[str], settings: Any
) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
    page = Client().post("/accounts/password/reset/", {"email": alice.email})
    assert "Ask an administrator for a link" in page.content.decode()
    seen = "".join(capfd.readouterr())
    assert "/password/" not in seen.replace("/accounts/password/reset/ ", "")
    assert mail.outbox == []


def test_the_default_without_a_mail_server_prints_no_mail() -> None:
    from config import settings as defaults

    assert defaults.EMAIL_BACKEND.endswith("dummy.EmailBackend")


@pytest.mark.usefixtures("no_mail")
def test_staff_hand_over_a_link_that_works_once(alice: User) -> None:
    ada = member("administrator", "Ada")
    page = logged_in(ada).post(address(alice)).content.decode()
    found = re.search(r"http://testserver(/accounts/password/open/)#([\w-]+)", page)
    assert found
    path, secret = found.groups()
    entry = AuditEntry.objects.get(verb="reset_link")
    assert (entry.actor_email, entry.object_id) == (ada.email, str(alice.pk))
    assert secret not in f"{entry.details}{entry.object_id}"
    client = Client()
    form = client.post(path, {"secret": secret})["Location"]
    assert secret.partition("-")[2] not in form
    assert client.post(form, {"password1": NEW, "password2": NEW}).status_code == 302
    alice.refresh_from_db()
    assert alice.check_password(NEW)
    again = Client()
    assert "link is invalid" in again.get(again.post(path, {"secret": secret})["Location"]).content.decode()


def test_only_for_those_who_may_set_a_password(alice: User) -> None:
    assert logged_in(make_staff("view_user", "disable_user")).post(address(alice)).status_code == 403
    assert (
        "reset link"
        not in logged_in(member("support", "Cleo")).get(f"/admin/accounts/user/{alice.pk}/change/").content.decode()
    )
    root = User.objects.create_superuser("root@example.org", PASSWORD)
    assert logged_in(member("administrator", "Ada")).post(address(root)).status_code == 403


@pytest.mark.parametrize("secret", ["", "x", "a-b", "../../admin", "\x00", "a" * 5000])
def test_nonsense_opens_nothing(secret: str) -> None:
    client = Client()
    response = client.post("/accounts/password/open/", {"secret": secret}, follow=True)
    assert response.status_code in (200, 410)
    assert "link is invalid" in response.content.decode()
