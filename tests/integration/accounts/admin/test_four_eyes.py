"""FOUR_EYES: who asks for an erasure or an export cannot approve it, and nothing happens before somebody else does."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.four_eyes import USABLE_HOURS, WAITING_DAYS
from accounts.models import ActState, AuditEntry, PendingAct, User
from tests.fixtures.people import logged_in

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis")]


@pytest.fixture(autouse=True)
def needed(settings: Any) -> None:
    settings.FOUR_EYES = ["erase", "export"]


@pytest.fixture
def asker() -> Client:
    return logged_in(User.objects.create_superuser("asker@example.org", "x"))


@pytest.fixture
def other() -> Client:
    return logged_in(User.objects.create_superuser("other@example.org", "x"))


def decide(browser: Client, verb: str = "approve") -> Any:
    act = PendingAct.objects.latest("pk")
    return browser.post("/admin/accounts/pendingact/", {"action": verb, "_selected_action": [str(act.pk)]}, follow=True)


def erase(browser: Client, user: User) -> Any:
    return browser.post(f"/admin/accounts/user/{user.pk}/erase/", {"email": user.email, "reason": "They asked."})


def test_an_erasure(alice: User, asker: Client, other: Client) -> None:
    assert erase(asker, alice).status_code == 302
    alice.refresh_from_db()
    assert alice.erase_at is None
    assert "requested this yourself" in decide(asker).content.decode()
    assert User.objects.get(pk=alice.pk).erase_at is None
    assert "1 request was approved." in decide(other).content.decode()
    erased = User.objects.get(pk=alice.pk)
    assert erased.erase_at is not None
    assert not erased.is_active
    verbs = list(AuditEntry.objects.order_by("pk").values_list("verb", "actor_email", "reason"))
    assert verbs == [
        ("ask_erase_user", "asker@example.org", "They asked."), ("approve_act", "other@example.org", "They asked."),
    ]  # fmt: skip
    assert "decided already" in decide(other).content.decode()


def test_the_first_page_names_what_waits_to_those_who_may_decide(alice: User, asker: Client, other: Client) -> None:
    waiting = "1 request is awaiting approval."
    assert waiting not in other.get("/admin/").content.decode()
    erase(asker, alice)
    assert waiting not in asker.get("/admin/").content.decode(), "they cannot decide their own"
    page = other.get("/admin/").content.decode()
    assert waiting in page
    shown = other.get("/admin/accounts/pendingact/?state__exact=waiting")
    assert '"/admin/accounts/pendingact/?state__exact=waiting"' in page
    assert "They asked." in shown.content.decode()
    decide(other)
    assert waiting not in other.get("/admin/").content.decode()


def test_refused(alice: User, asker: Client, other: Client) -> None:
    erase(asker, alice)
    erase(asker, alice)
    assert PendingAct.objects.count() == 1  # the same request once
    decide(other, "refuse")
    alice.refresh_from_db()
    assert alice.erase_at is None
    erase(asker, alice)
    assert PendingAct.objects.count() == 2


def test_all_data_of_a_user(alice: User, asker: Client, other: Client) -> None:
    path = f"/admin/accounts/user/{alice.pk}/export/"
    assert "Ask for approval" in asker.post(path).content.decode()
    assert asker.post(path, {"reason": "A court asks."}).status_code == 302
    assert asker.post(path)["Content-Type"].startswith("text/html")
    decide(other)
    assert other.post(path)["Content-Type"].startswith("text/html")  # it was not approved for them
    download = asker.post(path)
    assert download["Content-Type"] == "application/json"
    assert b"alice@example.org" in b"".join(download.streaming_content)  # type: ignore[attr-defined]
    assert asker.post(path)["Content-Type"].startswith("text/html")  # once


def test_a_list(alice: User, asker: Client, other: Client) -> None:
    path = "/admin/accounts/auditentry/export/"
    assert asker.get(path).status_code == 302
    decide(other)
    assert asker.get(f"{path}?verb=login").status_code == 302  # another list
    assert asker.get(path)["Content-Type"].startswith("text/csv")


def test_in_time(alice: User, asker: Client, other: Client) -> None:
    erase(asker, alice)
    PendingAct.objects.update(asked_at=timezone.now() - timedelta(days=WAITING_DAYS, hours=1))
    assert "or has expired" in decide(other).content.decode()
    erase(asker, alice)
    assert PendingAct.objects.filter(state=ActState.WAITING).count() == 1
    path = f"/admin/accounts/user/{alice.pk}/export/"
    asker.post(path, {"reason": "x"})
    decide(other)
    PendingAct.objects.update(decided_at=timezone.now() - timedelta(hours=USABLE_HOURS + 1))
    assert asker.post(path)["Content-Type"].startswith("text/html")


def test_without_the_setting(alice: User, asker: Client, settings: Any) -> None:
    settings.FOUR_EYES = []
    erase(asker, alice)
    alice.refresh_from_db()
    assert alice.erase_at is not None
