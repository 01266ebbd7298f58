"""Usage as people see it: the commands, the report behind them, staff's pages, and the frames of a real socket."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext
from pytest_django.fixtures import Settings

from accounts.lib.ids import uuid7
from accounts.lib.streaming import escape_formula
from accounts.models import AuditEntry, Plan, Price, Quota, Unit, UsageEntry, User
from accounts.quotas import top_ups
from accounts.quotas.balance import user_balances
from accounts.quotas.settlement import Used, settle_run
from chat.recovery.ledger import check_ledger
from tests.conftest import PASSWORD
from tests.fixtures.people import staff_client

DAY = datetime(2026, 5, 4, 23, 59, tzinfo=UTC)


def use(user: User, model: str = "small", at: datetime = DAY, **used: Any) -> None:
    settle_run(user.pk, uuid7(), at, Used(model, messages=1, **used))


def usage(*options: str) -> str:
    out = io.StringIO()
    call_command("usage", "--from=2026-05-01", "--to=2026-05-31", *options, stdout=out)
    return out.getvalue()


@pytest.fixture
def used(alice: User, bob: User) -> None:
    alice.groups.add(Group.objects.create(name="=cmd|'/c calc'!A0"))
    Price.objects.create(model="small", valid_from=DAY - timedelta(days=99), input_per_million=1, output_per_million=2)
    use(alice, input_tokens=1000, output_tokens=500)
    use(alice, input_tokens=1000, output_tokens=500, at=DAY + timedelta(minutes=2), estimated=True)
    use(bob, "free", input_tokens=7)
    use(bob, at=DAY - timedelta(days=40), input_tokens=5)


# --- the command ------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_usage_by_each_kind(used: None) -> None:
    by_user = json.loads(usage("--by=user", "--format=json"))
    assert [(row["user"], row["messages"], row["cost"], row["estimated"]) for row in by_user] == [
        ("alice@example.org", 2, "0.004", 1),
        ("bob@example.org", 1, "0", 0),
    ]
    by_model = json.loads(usage("--by=model", "--format=json"))
    assert {row["model"]: (row["input_tokens"], row["unpriced"]) for row in by_model} == {
        "small": (2000, 0),
        "free": (7, 1),
    }
    by_day = json.loads(usage("--by=day", "--format=json", "--user=ALICE@example.org"))
    assert [row["day"] for row in by_day] == ["2026-05-04", "2026-05-05"], "days are UTC"
    by_group = json.loads(usage("--by=group", "--format=json"))
    assert {row["group"]: row["messages"] for row in by_group} == {"=cmd|'/c calc'!A0": 2, "–": 1}


@pytest.mark.django_db
@pytest.mark.parametrize(("currency", "free"), [("USD", Decimal("0.25")), ("EUR", None)])
def test_a_reported_cost_counts_where_there_is_no_price(
    used: None, alice: User, settings: Settings, currency: str, free: Decimal | None
) -> None:
    """Routers report USD."""
    settings.CURRENCY = currency
    use(alice, "free", input_tokens=7, reported_cost=Decimal("0.25"))
    use(alice, input_tokens=1000, reported_cost=Decimal("0.25"))
    costs = dict(UsageEntry.objects.order_by("-id").values_list("model", "cost")[:2])
    assert costs == {"free": free, "small": Decimal("0.001")}


@pytest.mark.django_db
def test_a_table_for_people_says_what_has_no_price(used: None) -> None:
    lines = usage().splitlines()
    assert lines[0].split()[:2] == ["user", "messages"]
    assert lines[1].startswith("alice@example.org")
    assert "0.004000 USD in total" in lines[3]
    assert "1 answers whose model had no price" in lines[4]


@pytest.mark.django_db
def test_no_cell_of_the_csv_is_a_formula(used: None) -> None:
    rows = list(csv.reader(io.StringIO(usage("--by=group", "--format=csv"))))
    assert rows[0][:2] == ["group", "messages"]
    assert "'=cmd|'/c calc'!A0" in [row[0] for row in rows]
    assert [escape_formula(cell) for cell in ("@x", "-1+1", "\tx", "plain", 5)] == ["'@x", "'-1+1", "'\tx", "plain", 5]


@pytest.mark.django_db
@pytest.mark.parametrize(
    "options",
    [["--from=2026-02-30"], ["--from=2026-06-01"], ["--by=planet"], ["--user=nobody@example.org"], ["--format=xml"]],
)
def test_nonsense_is_refused_in_a_sentence(options: list[str]) -> None:
    with pytest.raises(CommandError) as refused:
        usage(*options)
    assert len(str(refused.value)) > 10


# --- manage.py quota --------------------------------------------------------------------------------------------------


def quota(*options: str) -> str:
    out = io.StringIO()
    call_command("quota", *options, stdout=out)
    return out.getvalue()


@pytest.mark.django_db
def test_an_operator_sets_tops_up_and_resets(alice: User) -> None:
    assert "No quota applies" in quota("show", alice.email)
    quota("set", "--plan=Default", "--unit=messages", "--period=month", "100")
    quota("set", f"--user={alice.email}", "--unit=messages", "--period=month", "3", "--soft")
    row = Quota.objects.get(user=alice)
    assert (row.limit, row.hard) == (3, False)
    quota("set", f"--user={alice.email}", "--unit=messages", "--period=month", "4")
    use(alice, at=datetime.now(UTC))
    assert "3 of 4 messages left" in quota("show", alice.email)
    assert "8 of 9 messages left" in quota("top-up", alice.email, str(row.pk), "5")
    assert "9 of 10 messages left" in quota("reset", alice.email)
    assert check_ledger() == []
    quota("set", f"--user={alice.email}", "--unit=messages", "--period=month", "none")
    assert "of 100" in quota("show", alice.email)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "options",
    [
        ["show", "nobody@example.org"],
        ["set", "--plan=Gold", "--unit=messages", "--period=day", "1"],
        ["set", "--plan=Default", "--unit=messages", "--period=day", "-1"],
        ["set", "--plan=Default", "--unit=messages", "--period=day", "many"],
        ["set", "--plan=Default", "--unit=messages", "--period=day", "none"],
        ["set", "--unit=messages", "--period=day", "1"],
        ["top-up", "alice@example.org", "999999", "1"],
        ["reset", "alice@example.org", "999999"],
    ],
)
def test_what_cannot_be_is_refused(alice: User, options: list[str]) -> None:
    with pytest.raises(CommandError):
        quota(*options)


# --- staff's pages ----------------------------------------------------------------------------------------------------


@pytest.fixture
def staff(clean_redis: str, db: None) -> Browser:
    return staff_client(superuser=True)


LISTS = ("plan", "quota", "price", "topup", "allowance", "usageentry", "dailyusage")


@pytest.mark.django_db
@pytest.mark.parametrize("name", LISTS)
def test_lists_ask_no_more_for_many_rows_and_count_nothing_big(staff: Browser, name: str) -> None:
    def fill(start: int, count: int) -> None:
        for number in range(start, start + count):
            user = User.objects.create(email=f"{number}@example.org")
            plan = Plan.objects.create(name=f"Plan {number}")
            held = Quota.objects.create(user=user, unit=Unit.MESSAGES, period="day", limit=5)
            Quota.objects.create(plan=plan, limit=5)
            Price.objects.create(model=f"m{number}", input_per_million=1, output_per_million=1)
            top_ups.top_up(user.pk, held.pk, Decimal(1))
            use(user, at=datetime.now(UTC) - timedelta(days=number))

    def ask() -> list[str]:
        with CaptureQueriesContext(
            connection,
        ) as asked:
            answer = staff.get(f"/admin/accounts/{name}/", secure=True)
        assert answer.status_code == 200
        return [query["sql"] for query in asked.captured_queries]

    fill(0, 2)
    few = ask()
    fill(2, 12)
    many = ask()
    assert len(many) == len(few)
    if name in ("topup", "allowance", "usageentry", "dailyusage"):
        assert not any("COUNT(*)" in sql and f"accounts_{name}" in sql for sql in many)


@pytest.mark.django_db
def test_nobody_edits_the_ledger_in_the_admin(staff: Browser, alice: User) -> None:
    use(alice)
    entry = UsageEntry.objects.get()
    assert staff.get(f"/admin/accounts/usageentry/{entry.pk}/change/", secure=True).status_code == 200
    for path in ("usageentry/add/", f"usageentry/{entry.pk}/delete/", "dailyusage/add/", "allowance/add/"):
        assert staff.get(f"/admin/accounts/{path}", secure=True).status_code == 403
    assert staff.post(f"/admin/accounts/usageentry/{entry.pk}/change/", {"cost": "0"}, secure=True).status_code == 403


@pytest.mark.django_db
def test_a_plan_is_edited_with_its_quotas_and_cannot_be_broken(staff: Browser, alice: User) -> None:
    plan, _ = Plan.objects.get_or_create(is_default=True, defaults={"name": "Default"})
    form = {
        "name": "Default",
        "time_zone": "Europe/Berlin",
        "audio_days": "0",
        "case_days": "365",
        "tool_steps": "12",
        "tool_calls_at_once": "8",
        "tool_seconds": "900",
        "is_default": "on",
        "quotas-TOTAL_FORMS": "1",
        "quotas-INITIAL_FORMS": "0",
        "quotas-0-unit": "messages",
        "quotas-0-period": "day",
        "quotas-0-limit": "25",
        "quotas-0-hard": "on",
        "quotas-0-model": "",
    }
    address = f"/admin/accounts/plan/{plan.pk}/change/"
    for bad in ({"time_zone": "Mars/Olympus"}, {"quotas-0-limit": "-1"}, {"quotas-0-limit": "1e13"}):
        assert staff.post(address, {**form, **bad}, secure=True).status_code == 200
    assert staff.post(address, form, secure=True).status_code == 302
    assert [balance.limit for balance in user_balances(alice.pk)] == [25]
    assert AuditEntry.objects.filter(verb="change_quotas").count() == 1
    assert staff.post(f"/admin/accounts/plan/{plan.pk}/delete/", {"post": "yes"}, secure=True).status_code == 403


# --- one's own page ---------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_person_sees_what_is_theirs_and_nothing_else(clean_redis: str, alice: User, bob: User) -> None:
    browser = Browser()
    assert browser.get("/accounts/usage/", secure=True).status_code == 302
    browser.login(username=alice.email, password=PASSWORD)
    assert "No usage yet" in browser.get("/accounts/usage/", secure=True).content.decode()
    today = datetime.now(UTC)
    Price.objects.create(model="small", valid_from=DAY, input_per_million=1, output_per_million=2)
    use(alice, "small", today, input_tokens=1_000_000, output_tokens=500_000)
    use(alice, "<b>free</b>", today - timedelta(days=3), output_tokens=750_000, estimated=True)
    use(bob, "bobs", today, output_tokens=9)
    Quota.objects.create(user=alice, unit=Unit.MESSAGES, period="month", limit=10)
    page = browser.get("/accounts/usage/", secure=True)
    shown = page.content.decode()
    assert "of 10 messages left" in shown
    assert "2.0000" in shown
    assert "bobs" not in shown
    assert "<b>free" not in shown
    assert "1 answer are estimates" in shown
    assert "style=" not in shown, "the policy lets no style through"
    bars = page.context["bars"]
    assert [(bar.height, bar.y) for bar in bars if bar.tokens] == [(50, 50), (100, 0)]
    assert len(bars) == 30
    assert bars[-1].day == today.date()
