"""The owner of a blocked account reads why and appeals, after they have proven their password; nobody else does."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from accounts.auth import inactive
from accounts.models import User
from chat.models import ModerationCase
from chat.models.moderation import DecisionKind
from chat.review import decisions
from chat.review.decisions import Outcome
from tests.conftest import PASSWORD
from tests.fixtures.cases import SECRET, make_case, make_moderator

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clean_redis")]

PAGE = "/cases/blocked/"


@pytest.fixture
def blocking(alice: User) -> ModerationCase:
    """A case that led to a block."""
    mo, case = make_moderator(), make_case(alice)
    decisions.claim(mo, case.pk)
    decisions.decide(mo, case.pk, Outcome(person=DecisionKind.BLOCK))
    return case


def refused(email: str, password: str = PASSWORD) -> Client:
    client = Client()
    answer = client.post("/accounts/login/", {"login": email, "password": password})
    assert "_auth_user_id" not in client.session
    assert answer["Location" if answer.status_code == 302 else "Content-Type"] in (
        "/accounts/inactive/",
        "text/html; charset=utf-8",
    )
    return client


def test_a_blocked_person_reads_why_and_appeals(alice: User, blocking: ModerationCase) -> None:
    hers = refused(alice.email)
    assert PAGE in hers.get("/accounts/inactive/").content.decode()
    page = hers.get(PAGE)
    assert "no-store" in page["Cache-Control"]
    assert SECRET in page.content.decode()
    said = hers.post(f"{PAGE}{blocking.pk}/appeal/", {"text": "It was a quote"}, follow=True).content.decode()
    assert "sent to the reviewers" in said
    blocking.refresh_from_db()
    assert blocking.appeal == "It was a quote"
    nora = make_moderator("Nora")
    decisions.claim(nora, blocking.pk)
    decisions.hear_appeal(nora, blocking.pk, Outcome(DecisionKind.RELEASE))
    alice.refresh_from_db()
    assert alice.is_active
    assert hers.get(PAGE)["Location"] == "/accounts/login/"  # from now on it is a page of the account


def test_nothing_else_opens(alice: User, blocking: ModerationCase) -> None:
    hers = refused(alice.email)
    for path in ("/", "/cases/", "/accounts/settings/", "/conversations/export/"):
        assert hers.get(path).status_code == 302, path


def test_not_without_the_password_not_later_and_not_for_others(
    alice: User, bob: User, blocking: ModerationCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    for client in (Client(), refused(alice.email, "wrong password")):
        assert client.get(PAGE)["Location"] == "/accounts/login/"
        assert client.post(f"{PAGE}{blocking.pk}/appeal/", {"text": "x"})["Location"] == "/accounts/login/"
        assert PAGE not in client.get("/accounts/inactive/").content.decode()
    bob.is_active = False
    bob.save()
    his = refused(bob.email)
    assert "reviewers did not decide this" in his.get(PAGE).content.decode()
    assert "have access to it" in his.post(f"{PAGE}{blocking.pk}/appeal/", {"text": "x"}, follow=True).content.decode()
    hers = refused(alice.email)
    later = timezone.now() + timedelta(minutes=inactive.MINUTES, seconds=1)
    monkeypatch.setattr("accounts.auth.inactive.time.time", later.timestamp)
    assert hers.get(PAGE)["Location"] == "/accounts/login/"
    blocking.refresh_from_db()
    assert blocking.appeal == ""
