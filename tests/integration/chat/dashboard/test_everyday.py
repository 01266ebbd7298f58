"""What staff ask every day: slow models, active people, people per plan, and the links to all of it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.utils import timezone

from accounts.lib.ids import uuid7
from accounts.models import Plan, Price, User
from accounts.quotas.settlement import Used, settle_run
from chat.dashboard.cache import cache
from chat.dashboard.people import People, month_before, read_people
from chat.dashboard.speed import read_speeds
from chat.models import Conversation, KnownModel, Message, Run
from tests.fixtures.people import staff_client
from tests.integration.chat.admin.staff_pages import page, viewer

pytestmark = pytest.mark.usefixtures("clean_redis", "db")
NOW = datetime.now(UTC)


@pytest.fixture(autouse=True)
def fresh() -> None:
    cache.clear()


def answer(model: str, ago: timedelta, first_ms: int, total_ms: int = 10_000, tokens: int = 100) -> None:
    conversation = Conversation.objects.create()
    question = Message.objects.create(conversation=conversation, role="user", text="?")
    text = Message.objects.create(conversation=conversation, parent=question, role="assistant", text="!")
    Run.objects.create(
        conversation=conversation, prompt=question, message=text, model=model, status="done", attempt=1,
        finished_at=NOW, created_at=NOW - ago, first_token_ms=first_ms, total_ms=total_ms, output_tokens=tokens,
    )  # fmt: skip


def test_a_model_is_slow_against_its_usual() -> None:
    for _ in range(5):
        answer("slow", timedelta(minutes=5), 3000)
        answer("steady", timedelta(minutes=5), 400)
        answer("dragging", timedelta(minutes=5), 400, total_ms=40_400)
    for days in (2, 3, 4):
        for model in ("slow", "steady", "dragging"):
            answer(model, timedelta(days=days), 400, total_ms=10_400)
    found = {one.model: one for one in read_speeds() or []}
    today = NOW.date()
    assert {name: one.is_slow(today) for name, one in found.items()} == {
        "slow": True, "steady": False, "dragging": True,
    }  # fmt: skip
    usual = found["slow"].usual(today)
    assert usual is not None
    assert (usual.answers, usual.first_ms, usual.speed) == (3, 400, 10)
    shown = page(viewer("view_dashboard"), "speed", model="slow")
    assert "3\u202f000\u202fms" in shown
    assert "slow</b>" in shown
    assert "Time to first token, median per day" in shown


def test_few_answers_say_nothing() -> None:
    answer("m", timedelta(minutes=5), 3000)
    answer("m", timedelta(days=2), 400)
    assert [one.is_slow(NOW.date()) for one in read_speeds() or []] == [False]
    assert "No answers" not in page(viewer("view_dashboard"), "speed")


def test_active_people_by_day_and_month(alice: User, bob: User) -> None:
    for user, ago in ((alice, 0), (alice, 0), (bob, 0), (bob, 1), (alice, 70)):
        settle_run(user.pk, uuid7(), NOW - timedelta(days=ago), Used("m", messages=1))
    people = read_people(NOW.date())
    assert people.days is not None
    assert people.months is not None
    assert people.days[NOW.date()] == 2
    assert people.days[NOW.date() - timedelta(days=1)] == 1
    assert people.months[NOW.date().replace(day=1)] == 2
    assert sum(people.days.values()) == 3, "seventy days ago is no bar of the days"
    assert "Active people per month" in page(viewer("view_dashboard"), "people")


def test_people_per_plan(alice: User, bob: User) -> None:
    plan = Plan.objects.create(name="Team")
    User.objects.filter(pk=bob.pk).update(plan=plan, is_active=False)
    alice.plan = plan
    alice.save()
    settle_run(alice.pk, uuid7(), NOW, Used("m", messages=1))
    [row] = [one for one in read_people(NOW.date()).plans or [] if one.name == "Team"]
    assert (row.active, row.disabled, row.used) == (1, 1, 1)
    assert f"/admin/accounts/user/?plan__id__exact={plan.pk}" in page(viewer("view_dashboard"), "people")


@pytest.mark.parametrize(("months", "first"), [(0, date(2026, 1, 1)), (1, date(2025, 12, 1)), (13, date(2024, 12, 1))])
def test_months_before(months: int, first: date) -> None:
    assert month_before(date(2026, 1, 31), months) == first


@pytest.mark.parametrize("path", ["speed", "people"])
def test_not_without_the_permission(sam_alone: Client, path: str) -> None:
    assert sam_alone.get(f"/admin/{path}/").status_code == 403


@pytest.fixture
def sam_alone(db: None) -> Client:
    return staff_client("view_user")


def test_each_question_is_one_click_from_the_dashboard() -> None:
    staff = viewer("view_dashboard", "top_up", "read_message_body")
    shown = staff.get("/admin/").content.decode()
    first = NOW.date().replace(day=1)
    for address in (
        f"/admin/usage/?from={first}&amp;by=group", "/admin/speed/", "/admin/chat/run/?error_code=any&amp;period=24h",
        "/admin/accounts/user/?is_staff__exact=0", "/admin/chat/knownmodel/?offered=yes&amp;price=none",
        "/admin/people/", "/admin/people/#plans", "/admin/chat/conversation/?trash=yes", "/admin/search-texts/",
    ):  # fmt: skip
        assert f'href="{address}"' in shown, address
        assert staff.get(address.replace("&amp;", "&")).status_code == 200, address


def test_a_question_that_one_may_not_ask_is_not_there() -> None:
    shown = staff_client("view_dashboard").get("/admin/").content.decode()
    assert "/admin/speed/" in shown
    assert "/admin/search-texts/" not in shown
    assert "/admin/usage/" not in shown


def test_models_without_a_price() -> None:
    for name in ("priced", "unpriced", "later"):
        KnownModel.objects.create(name=name)
    price: dict[str, Any] = {"input_per_million": 1, "output_per_million": 1}
    Price.objects.create(model="priced", valid_from=NOW - timedelta(days=1), **price)
    Price.objects.create(model="later", valid_from=timezone.now() + timedelta(days=1), **price)
    shown = page(viewer(), "chat/knownmodel", price="none")
    assert "unpriced</a>" in shown
    assert "later</a>" in shown
    assert ">priced</a>" not in shown
    Price.objects.create(model="", valid_from=NOW - timedelta(days=1), **price)
    assert "unpriced</a>" not in page(viewer_again(), "chat/knownmodel", price="none")


def viewer_again() -> Client:
    client = Client()
    client.force_login(User.objects.get(email="sam@example.org"))
    return client


def test_most_money_this_month_by_group(alice: User) -> None:
    alice.groups.add(Group.objects.create(name="Research"))
    Price.objects.create(valid_from=NOW - timedelta(days=99), input_per_million=10, output_per_million=20)
    settle_run(alice.pk, uuid7(), NOW, Used("m", messages=1, input_tokens=1_000_000))
    shown = page(viewer("view_dashboard"), "usage", **{"from": str(NOW.date().replace(day=1)), "by": "group"})
    assert "Research" in shown
    assert "10.00\u202fUSD" in shown
    assert 'aria-current="true">This month</a>' in shown


@pytest.mark.parametrize(("name", "reader"), [("speed", "speed_page.read_speeds"), ("people", "people.read_people")])
def test_figures_that_took_too_long_have_no_period_to_shorten(
    name: str, reader: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    unknown = None if name == "speed" else People(None, None, None)
    monkeypatch.setattr(f"chat.dashboard.{reader}", lambda *_: unknown)
    shown = page(viewer("view_dashboard"), name)
    assert "Load the page again in some minutes." in shown
    assert "shorter period" not in shown
