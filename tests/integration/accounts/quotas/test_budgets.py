"""Budgets and weekly reports: what is mailed, to whom, and how often."""

from __future__ import annotations

import csv
import io
import smtplib
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.core import mail
from django.core.mail import EmailMessage
from django.test import Client
from pytest_django.fixtures import Settings

from accounts.lib.ids import uuid7
from accounts.models import AuditEntry, Budget, Price, UsageReport, User
from accounts.quotas.settlement import Used, settle_run
from accounts.staff import budgets, report_mails
from tests.fixtures.people import staff_client

pytestmark = pytest.mark.django_db
NOW = datetime.now(UTC)
TODAY = NOW.date()


@pytest.fixture(autouse=True)
def priced(db: None) -> None:
    Price.objects.create(valid_from=NOW - timedelta(days=99), input_per_million=10, output_per_million=0)


def spend(user: User, money: int, model: str = "m", at: datetime = NOW) -> None:
    settle_run(user.pk, uuid7(), at, Used(model, messages=1, input_tokens=money * 100_000))


def budget(**facts: Any) -> Budget:
    return Budget.objects.create(**{"name": "All", "amount": 100, "recipients": "a@example.org\nb@example.org"} | facts)


@pytest.mark.parametrize(
    ("spent", "level"), [("49.99", 0), ("50", 50), ("79.9", 50), ("80", 80), ("100", 100), ("250", 100)]
)
def test_levels(spent: str, level: int) -> None:
    assert budgets.level_of(Decimal(spent), Decimal(100)) == level


def test_each_level_is_mailed_once_a_month(alice: User) -> None:
    made = budget()
    spend(alice, 40)
    assert budgets.check_budgets() == 0
    spend(alice, 15)
    assert (budgets.check_budgets(), budgets.check_budgets()) == (1, 0)
    spend(alice, 50)
    assert budgets.check_budgets() == 1, "80 and 100 at once are one mail"
    first, second = mail.outbox
    assert first.to == ["a@example.org", "b@example.org"]
    assert first.subject.endswith(": 50 % of the budget “All”")
    assert second.subject.endswith(": 100 % of the budget “All”")
    assert "55.00\u202fUSD of the 100.00\u202fUSD" in first.body
    made.refresh_from_db()
    assert (made.alerted, made.month) == (100, TODAY.replace(day=1))
    assert budgets.check_budgets(TODAY.replace(day=1) + timedelta(days=40)) == 0, "next month begins anew"
    Budget.objects.update(month=TODAY.replace(day=1) - timedelta(days=3))
    assert budgets.check_budgets() == 1


def test_of_a_group_or_a_model_or_switched_off(alice: User, bob: User) -> None:
    team = Group.objects.create(name="Team")
    alice.groups.add(team)
    budget(name="Team", group=team)
    budget(name="Model", model="other")
    budget(name="Off", enabled=False, amount=1)
    spend(bob, 100)
    assert budgets.check_budgets() == 0
    spend(alice, 60)
    assert budgets.check_budgets() == 1
    assert "“Team”" in mail.outbox[0].subject
    spend(bob, 50, "other")
    assert budgets.check_budgets() == 1
    assert "“Model”" in mail.outbox[1].subject


def test_a_mail_that_fails_is_sent_by_the_next_check(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    budget()
    spend(alice, 50)

    def fail(_self: EmailMessage) -> None:
        raise smtplib.SMTPServerDisconnected

    with monkeypatch.context() as broken:
        broken.setattr(EmailMessage, "send", fail)
        assert budgets.check_budgets() == 0
    assert budgets.check_budgets() == 1


def test_nothing_is_noted_without_a_mail_server(alice: User, settings: Settings) -> None:
    settings.EMAIL_BACKEND, settings.EMAIL_HOST = "django.core.mail.backends.dummy.EmailBackend", ""
    budget()
    spend(alice, 50)
    assert budgets.check_budgets() == 0
    assert Budget.objects.get().alerted == 0


# --- reports ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("today", "monday"), [(date(2026, 11, 30), date(2026, 11, 23)), (date(2026, 11, 29), date(2026, 11, 16))]
)
def test_the_week_before(today: date, monday: date) -> None:
    assert report_mails.week_before(today) == (monday, monday + timedelta(days=6))


def test_a_report_is_mailed_once_a_week_with_a_table_and_a_file(alice: User, bob: User, settings: Settings) -> None:
    settings.ALLOWED_ORIGINS = ["https://chat.example.org"]
    monday, _sunday = report_mails.week_before(TODAY)
    at = datetime.combine(monday, datetime.min.time(), UTC) + timedelta(days=2)
    alice.groups.add(Group.objects.create(name="=Research"))
    spend(alice, 3, at=at)
    spend(bob, 1, at=at)
    spend(alice, 9, at=at - timedelta(days=7))
    UsageReport.objects.create(name="Teams", by="group", recipients="boss@example.org")
    UsageReport.objects.create(name="Saved only", by="user")
    assert (report_mails.mail_reports(), report_mails.mail_reports()) == (1, 0)
    [sent] = mail.outbox
    assert sent.to == ["boss@example.org"]
    assert "=Research: 3.00\u202fUSD" in sent.body
    assert "Total: 4.00\u202fUSD" in sent.body
    assert f"https://chat.example.org/admin/usage/?from={monday}" in sent.body
    html = sent.alternatives[0][0]  # type: ignore[attr-defined]  # of a mail with HTML
    assert "<td>=Research</td>" in html
    assert "<h1" in html
    [(name, text, kind)] = sent.attachments
    assert (name, kind) == (f"usage-by-group-{monday}-{monday + timedelta(days=6)}.csv", "text/csv")
    rows = list(csv.reader(io.StringIO(str(text))))
    assert rows[1][0] == "'=Research"
    assert rows[-1] == ["# rows: 2"]
    assert report_mails.mail_reports(TODAY + timedelta(days=7)) == 1, "and again the next week"


def test_of_one_group_by_user(alice: User, bob: User) -> None:
    team = Group.objects.create(name="Team")
    alice.groups.add(team)
    monday, _ = report_mails.week_before(TODAY)
    at = datetime.combine(monday, datetime.min.time(), UTC)
    spend(alice, 3, at=at)
    spend(bob, 1, at=at)
    UsageReport.objects.create(name="R", by="user", group=team, recipients="boss@example.org")
    report_mails.mail_reports()
    assert "alice@example.org" in mail.outbox[0].body
    assert "bob@example.org" not in mail.outbox[0].body


# --- staff's pages ----------------------------------------------------------------------------------------------------


@pytest.fixture
def billing(db: None) -> Client:
    codes = [f"{verb}_{model}" for verb in ("view", "add", "change") for model in ("budget", "usagereport")]
    return staff_client(*codes, "view_dailyusage")


def test_a_budget_is_made_and_checked(billing: Client, alice: User, clean_redis: str) -> None:
    form = {"name": "All", "amount": "10", "recipients": "a@example.org\nno address", "enabled": "on"}
    assert "is not an email address" in billing.post("/admin/accounts/budget/add/", form).content.decode()
    assert billing.post("/admin/accounts/budget/add/", {**form, "recipients": "a@example.org"}).status_code == 302
    assert AuditEntry.objects.get().verb == "add"
    spend(alice, 5)
    shown = billing.get(f"/admin/accounts/budget/{Budget.objects.get().pk}/change/").content.decode()
    assert "5.00\u202fUSD, 50\u202f% of the budget" in shown


def test_what_the_usage_page_shows_is_saved(billing: Client, clean_redis: str) -> None:
    team = Group.objects.create(name="Team")
    page = billing.get(f"/admin/usage/?by=user&group={team.pk}").content.decode()
    save = f"/admin/accounts/usagereport/add/?by=user&amp;group={team.pk}"
    assert save in page
    assert f'<option value="{team.pk}" selected>' in billing.get(save.replace("&amp;", "&")).content.decode()
    form = {"name": "Team's users", "by": "user", "group": team.pk, "recipients": "", "enabled": "on"}
    assert billing.post("/admin/accounts/usagereport/add/", form).status_code == 302
    page = billing.get("/admin/usage/").content.decode()
    assert "Team&#x27;s users</a>" in page
    assert f"group={team.pk}" in page
    wrong = billing.post("/admin/accounts/usagereport/add/", {**form, "name": "x", "by": "group"}).content.decode()
    assert "Leave this empty" in wrong
