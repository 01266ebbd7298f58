"""The staff's usage page: whose use it shows, to whom, as what, and what it asks of the database."""

from __future__ import annotations

import csv
import io
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.lib.ids import uuid7
from accounts.models import AuditEntry, Price, User
from accounts.quotas.settlement import Used, settle_run
from chat.dashboard import usage_page
from chat.dashboard.usage_page import MAX_ROWS, ReportQuery, panels
from tests.fixtures.people import logged_in

pytestmark = pytest.mark.django_db
NOW = datetime.now(UTC)
TODAY = NOW.date()


def use(user: User, model: str = "small", ago: int = 0, **used: Any) -> None:
    settle_run(user.pk, uuid7(), NOW - timedelta(days=ago), Used(model, messages=1, **used))


@pytest.fixture
def sam(bob: User) -> Client:
    bob.is_staff = True
    bob.save()
    bob.user_permissions.set(Permission.objects.filter(codename__in=["view_dailyusage", "view_user"]))
    return logged_in(bob)


@pytest.fixture
def used(alice: User, bob: User) -> None:
    Price.objects.create(valid_from=NOW - timedelta(days=99), input_per_million=10, output_per_million=20)
    alice.groups.add(Group.objects.create(name="=cmd|' /C calc'!A0"))
    use(alice, input_tokens=1_000_000, output_tokens=500_000, cached_tokens=250_000)
    use(alice, "=large", ago=3, input_tokens=1000)
    use(bob, ago=40, input_tokens=3000, estimated=True)


def show(client: Client, **query: str) -> str:
    answer = client.get(reverse("admin:usage"), query)
    assert answer.status_code == 200
    return answer.content.decode()


def rows_of(client: Client, **query: str) -> list[dict[str, str]]:
    answer: Any = client.get(reverse("admin:usage"), {"format": "csv", **query})
    assert "attachment" in answer["Content-Disposition"]
    text, _, last = answer.getvalue().decode().rpartition("# rows: ")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert last == f"{len(rows)}\n"
    return rows


def test_what_it_shows(sam: Client, used: None, alice: User) -> None:
    page = show(sam)
    assert reverse("admin:usage") == "/admin/usage/"
    assert f'<a href="/admin/accounts/user/{alice.pk}/change/">alice@example.org</a>' in page
    assert "bob@example.org</a>" not in page, "forty days ago"
    assert "<b>20.01\u202fUSD</b>" in page
    assert "25\u202f% cached" in page
    assert page.count('class="staff-chart"') == 2
    longer = show(sam, **{"from": str(TODAY - timedelta(days=60))})
    assert "bob@example.org</a>" in longer
    assert "1 with estimated tokens" in longer
    assert ">=large<" in show(sam, by="model")
    assert f"day__exact={TODAY}" in show(sam, by="day")


def test_who_may_see_it(client: Client, alice: User, sam: Client, bob: User) -> None:
    bob.user_permissions.clear()
    assert sam.get(reverse("admin:usage")).status_code == 403
    assert reverse("admin:usage") not in sam.get(reverse("admin:index")).content.decode()
    client.force_login(alice)
    assert client.get(reverse("admin:usage")).status_code in (302, 403)


def test_the_sidebar_leads_there(sam: Client) -> None:
    assert f'href="{reverse("admin:usage")}"' in sam.get(reverse("admin:index")).content.decode()


def test_the_file_has_no_formulas_and_its_export_is_put_down(sam: Client, used: None, bob: User) -> None:
    [row] = rows_of(sam)
    assert (row["user"], row["messages"], row["cost"]) == ("alice@example.org", "2", "20.01")
    assert [row["model"] for row in rows_of(sam, by="model")] == ["small", "'=large"]
    assert [row["group"] for row in rows_of(sam, by="group")] == ["'=cmd|' /C calc'!A0", "total"]
    days = rows_of(sam, by="day", **{"from": str(TODAY - timedelta(days=50))})
    assert [row["day"] for row in days] == [str(TODAY - timedelta(days=ago)) for ago in (40, 3, 0)]
    assert list(AuditEntry.objects.values_list("verb", "object_id")) == [("export_usage", str(bob.pk))] * 4


@pytest.mark.parametrize(
    "query",
    [
        {"from": "yesterday", "to": "0000-01-01", "by": "password"},
        {"from": "9999-12-31", "to": "9999-12-31"},
        {"from": "0001-01-01", "to": "0001-01-02"},
        {"from": str(TODAY), "to": str(TODAY - timedelta(days=9))},
    ],
)
def test_an_address_that_makes_no_sense_shows_something_that_does(sam: Client, query: dict[str, str]) -> None:
    assert "No usage in this period" in show(sam, **query)


def test_a_time_is_a_year_at_the_most(rf: Any) -> None:
    query = usage_page.parse_query(rf.get("/", {"from": "2001-01-01"}), TODAY)
    assert (query.until, (query.until - query.since).days) == (TODAY, 365)


def test_it_asks_the_same_of_a_big_ledger(sam: Client, used: None) -> None:
    def statements() -> int:
        with CaptureQueriesContext(connection) as captured:
            show(sam)
        assert not any("usageentry" in one["sql"] for one in captured.captured_queries)
        return len(captured)

    few = statements()
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO accounts_dailyusage (day, user_id, model, endpoint, messages, input_tokens, cached_tokens,"
            " output_tokens, reasoning_tokens, audio_seconds, cost, unpriced, estimated)"
            " SELECT current_date - n % 300, gen_random_uuid(), 'm-' || n % 20, '', 1, 10, 0, 5, 0, 0, 0.5, 0, 0"
            " FROM generate_series(1, 20000) n"
        )
    assert statements() == few <= 16
    page = show(sam)
    assert f"the first {MAX_ROWS} rows." in page
    assert "other models" in page


def test_long_times_are_drawn_in_weeks() -> None:
    first = date(2026, 1, 1)
    found = [(first + timedelta(days=day), f"m-{day % 8}", 10, Decimal(1)) for day in range(100)]
    tokens, money = panels(ReportQuery(first, first + timedelta(days=99), "day"), found)
    assert tokens.chart is not None
    assert money.chart is not None
    assert (len(tokens.chart.bars), tokens.chart.most, money.chart.most) == (15, 70, 7)
    assert tokens.legend[-1] == "other models"
    assert len(tokens.legend) == 6
    assert tokens.title == "Tokens per week"


def test_what_takes_too_long_is_said(sam: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def sleep(*_: Any) -> Any:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(9)")

    monkeypatch.setattr(usage_page, "TIMEOUT_SECONDS", 0.05)
    monkeypatch.setattr(usage_page, "usage_by_day_and_model", sleep)
    assert "Choose a shorter period" in show(sam)
    monkeypatch.setattr(usage_page, "usage_by_day_and_model", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        show(sam)


class TestByGroup:
    """By the groups of then: the entries have them."""

    @pytest.fixture
    def teams(self, alice: User, bob: User) -> tuple[Group, Group]:
        red, blue = Group.objects.create(name="red"), Group.objects.create(name="blue")
        Price.objects.create(valid_from=NOW - timedelta(days=99), input_per_million=10, output_per_million=20)
        alice.groups.add(red, Group.objects.get(name="billing"))
        use(alice, input_tokens=1_000_000)
        alice.groups.add(blue)
        use(alice, "other", input_tokens=100_000)
        use(bob, input_tokens=10_000)
        alice.groups.set([blue])  # she moves
        return red, blue

    def test_moving_somebody_changes_nothing_of_the_past(self, sam: Client, teams: tuple[Group, Group]) -> None:
        """Before, all of it was blue's; and the rows added up to more than the whole without a word."""
        rows = {row["group"]: row["input_tokens"] for row in rows_of(sam, by="group")}
        assert rows == {"red": "1100000", "blue": "100000", "–": "10000", "total": "1110000"}

    def test_what_is_counted_twice_is_said_and_the_total_is_right(
        self, sam: Client, teams: tuple[Group, Group]
    ) -> None:
        page = show(sam, by="group")
        assert "The rows add up to more than the total: 1 message with a cost of 1.00" in page
        cells = '<td data-label="Messages">3</td><td data-label="Input tokens">1.11\u202fM</td>'
        assert f'<tfoot><tr><th scope="row">Total</th>{cells}' in page
        assert ">billing<" not in page, "a role is no team"

    def test_it_leads_on_to_users_and_models(self, sam: Client, teams: tuple[Group, Group]) -> None:
        red, blue = teams
        assert f"by=user&amp;group={red.pk}" in show(sam, by="group")
        [row] = rows_of(sam, by="user", group=str(red.pk))
        assert (row["user"], row["input_tokens"]) == ("alice@example.org", "1100000")
        assert [row["model"] for row in rows_of(sam, by="model", group=str(blue.pk))] == ["other"]
        assert [row["day"] for row in rows_of(sam, by="day", group=str(blue.pk))] == [str(TODAY)]
        assert "· blue" in show(sam, by="model", group=str(blue.pk))

    @pytest.mark.parametrize("group", ["x", "-1", "99999999999999999999", "\u0661"])
    def test_nonsense_is_no_group(self, sam: Client, teams: tuple[Group, Group], group: str) -> None:
        assert len(rows_of(sam, by="user", group=group)) == 2

    def test_a_group_that_is_gone_keeps_its_usage(self, sam: Client, teams: tuple[Group, Group]) -> None:
        red, _blue = teams
        number = red.pk
        red.delete()
        assert f"#{number}" in {row["group"] for row in rows_of(sam, by="group")}
