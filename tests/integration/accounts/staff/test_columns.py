"""What lists of the admin say about their length, which columns sort them, and how dates and amounts are written."""

from __future__ import annotations

import re

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from accounts.lib.ids import lowest_uuid7
from accounts.models import Plan, Price, Quota, TopUp, User
from chat.models import Conversation, Member, Webhook
from tests.integration.accounts.staff.lists import root as root  # a fixture

pytestmark = pytest.mark.usefixtures("clean_redis", "db")


def person(number: int) -> User:
    """The ids of people who are made in the same millisecond are in no order."""
    at = lowest_uuid7(1_700_000_000_000 + number)
    return User.objects.create(pk=at, email=f"p{number}@example.org", name=f"P{number}", last_login=timezone.now())


def test_long_lists_say_about_how_long_they_are(root: Client) -> None:
    User.objects.bulk_create(User(email=f"p{number}@example.org") for number in range(1234))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE accounts_user")
    assert "about 1\u202f200 rows" in root.get("/admin/accounts/user/").content.decode()
    last = root.get("/admin/accounts/user/", {"p": "25"}).content.decode()
    assert "about" not in last, "it is counted by then"


def test_lists_are_sorted_by_what_an_index_has_in_order(root: Client) -> None:
    for number in range(3):
        person(number)

    def emails(**query: str) -> list[str]:
        html = root.get("/admin/accounts/user/", query).content.decode()
        return re.findall(r">(p\d)@example", html)

    assert emails() == ["p2", "p1", "p0"]
    assert emails(o="1") == ["p0", "p1", "p2"]
    assert "?o=4" not in root.get("/admin/accounts/user/").content.decode(), "no column without an index"


def test_dates_have_a_zone_and_amounts_no_zeros(root: Client) -> None:
    user = person(1)
    quota = Quota.objects.create(user=user, limit=1)
    TopUp.objects.create(user=user, quota=quota, amount=1, by=user)
    html = root.get("/admin/accounts/topup/").content.decode()
    assert re.search(r"\d{4}-\d\d-\d\d\xa0\d\d:\d\d\xa0UTC", html)
    assert "1.000" not in html
    row = TopUp.objects.get()
    page = root.get(f"/admin/accounts/topup/{row.pk}/change/").content.decode()
    assert "\xa0UTC" in page
    assert "1.000" not in page


def test_dates_of_pages_with_a_form_look_like_all_others(root: Client) -> None:
    """They cannot be changed there; the members of a conversation are rows below its page."""
    webhook = Webhook.objects.create(
        name="w", url="https://crm.example.org/", events=["user.created"], succeeded_at=timezone.now()
    )
    conversation = Conversation.objects.create()
    Member.objects.create(conversation=conversation, user=person(1), role="owner")
    for path in (f"chat/webhook/{webhook.pk}", f"chat/conversation/{conversation.pk}"):
        page = root.get(f"/admin/{path}/change/").content.decode()
        assert re.search(r"\d{4}-\d\d-\d\d\xa0\d\d:\d\d\xa0UTC", page), path
        assert not re.search(r"[ap]\.m\.", page), path


def test_fields_have_amounts_as_people_write_them(root: Client) -> None:
    price = Price.objects.create(model="m", input_per_million=3, output_per_million="0.25", audio_per_minute=0)
    plan = Plan.objects.create(name="Team")
    Quota.objects.create(plan=plan, limit=300)
    shown = values(root.get(f"/admin/accounts/price/{price.pk}/change/").content.decode())
    assert (shown["input_per_million"], shown["output_per_million"], shown["audio_per_minute"]) == ("3", "0.25", "0")
    shown = values(root.get(f"/admin/accounts/plan/{plan.pk}/change/").content.decode())
    assert shown["quotas-0-limit"] == "300"


def values(page: str) -> dict[str, str]:
    """Of the inputs of a page, by their names."""
    inputs = [dict(re.findall(r'(name|value)="([^"]*)"', one)) for one in re.findall(r"<input[^>]*>", page)]
    return {one["name"]: one.get("value", "") for one in inputs if "name" in one}
