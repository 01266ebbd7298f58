"""The dashboard: what it shows, to whom, what it says when it cannot know, and what it asks of the database."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator

import pytest
import redis
from asgiref.sync import async_to_sync
from django.contrib import admin
from django.test import Client
from django.utils import timezone

from accounts import online
from accounts.lib.charts import Column, draw
from accounts.models import User
from accounts.quotas.settlement import Used
from chat.dashboard import queries
from chat.dashboard import runs as runs_module
from chat.dashboard import usage as usage_module
from chat.dashboard.cache import cache
from chat.dashboard.period import PERIODS
from chat.jobs.worker_heartbeats import Heartbeat, beat
from chat.models import Recording
from tests.conftest import make_user
from tests.fixtures.people import staff_client
from tests.integration.chat.dashboard.shown import make_run, show

pytestmark = pytest.mark.usefixtures("clean_redis", "db")


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


def tile(html: str, title: str) -> tuple[str, str, str]:
    """(value, note, address) of a figure."""
    found = re.search(
        rf"<li[^>]*><a(?: href=\"([^\"]*)\")?>\s*<span>{title}</span><b>([^<]*)</b><small>([^<]*)</small>", html
    )
    assert found, title
    return found[2], found[3], (found[1] or "").replace("&amp;", "&")


class TestFigures:
    def test_now(self, sam: Client, alice: User, bob: User) -> None:
        make_run(alice, status="running", ago=30)
        make_run(alice, status="queued", ago=90)
        make_run(bob, status="queued", ago=20)
        Recording.objects.create(user=alice, client_id=uuid.uuid4(), language="en", mode="dictate", status="listening")
        Recording.objects.create(user=bob, client_id=uuid.uuid4(), language="en", mode="dictate", status="done")
        say = async_to_sync(online.publish_presence)
        say("web-1", 3, [alice.pk, bob.pk])
        say("web-2", 1, [alice.pk])
        async_to_sync(beat)(Heartbeat("w", "host-1", 42, runs=1, slots=500, draining=False, since=0.0))
        html = show(sam)
        assert tile(html, "Users online")[0] == "2"
        assert tile(html, "Open sockets")[:2] == ("4", "2 web processes")
        assert tile(html, "Answers in progress")[0] == "1"
        assert tile(html, "Queued runs")[0] == "2"
        assert re.match("oldest has waited 9[0-9]\u202fs · 0 jobs in the broker", tile(html, "Queued runs")[1])
        assert tile(html, "Workers")[:2] == ("1", "1 of 500 slots in use")
        assert tile(html, "Recordings in progress")[0] == "1"
        assert tile(html, re.escape("Runs started (last minute)"))[0] == "2"
        assert "host-1, PID 42" in html

    def test_with_no_page_open_no_number_of_web_processes_is_given(self, sam: Client) -> None:
        assert tile(show(sam), "Open sockets")[:2] == ("0", "")

    def test_of_a_period(self, sam: Client, alice: User, bob: User) -> None:
        for number in range(18):
            make_run(alice, first_token_ms=100 + number, used=Used("m-1", messages=1, input_tokens=1000))
        make_run(bob, model="m-2", first_token_ms=9000, used=Used("m-2", messages=1, output_tokens=7))
        make_run(bob, status="failed", error_code="upstream_timeout")
        make_run(bob, ago=2 * 3600, status="failed", error_code="long_ago")
        html = show(sam, period="1h")
        assert tile(html, "Runs")[0] == "20"
        assert tile(html, "Time to first token")[:2] == ("109\u202fms", "median; 95th percentile 9\u202f000\u202fms")
        assert tile(html, "Failed runs")[:2] == ("1", "5.0\u202f% of runs")
        assert tile(html, "Tokens")[:2] == ("18\u202f007", "18\u202f000 input, 7 output")
        assert tile(html, "Cost")[1] == "19 answers without a price"
        assert "long_ago" not in html
        assert "long_ago" in show(sam, period="24h")

    @pytest.mark.parametrize("period", ["1h", "24h", "7d", "30d"])
    def test_every_link_leads_to_what_is_behind_the_figure(self, sam: Client, alice: User, period: str) -> None:
        make_run(alice, first_token_ms=7000, used=Used("m-1", messages=1, input_tokens=5))
        make_run(alice, status="failed", error_code="upstream_timeout")
        make_run(alice, status="running")
        make_run(alice, status="queued")
        html = show(sam, period=period)
        addresses = {one.replace("&amp;", "&") for one in re.findall(r'href="(/admin/[^"]*\?[^"]*)"', html)}
        behind = {address: sam.get(address) for address in addresses}
        assert {response.status_code for response in behind.values()} == {200}
        for title, rows in (
            ("Failed runs", 1),
            ("Time to first token", 1),
            ("Runs", 4),
            ("Answers in progress", 1),
            ("Queued runs", 1),
        ):
            listed = set(
                re.findall(r"/admin/chat/run/([0-9a-f-]{36})/", sam.get(tile(html, title)[2]).content.decode())
            )
            assert len(listed) == rows, title
        for cause in ("error_code=upstream_timeout", "model=m-1", f"requested_by__exact={alice.pk}"):
            assert any(cause in address for address in addresses), cause

    def test_the_last_steps_are_full_steps(self) -> None:
        now = timezone.now().replace(hour=12, minute=34, second=56)
        since = {key: period.since(now) for key, period in PERIODS.items()}
        assert (since["1h"].hour, since["1h"].minute, since["1h"].second) == (11, 35, 0)
        assert (since["24h"].hour, since["24h"].minute) == (13, 0)
        assert (since["30d"].hour, (now - since["30d"]).days) == (0, 29)

    def test_top_users_in_order(self, sam: Client, alice: User, bob: User) -> None:
        make_run(alice, used=Used("m-1", messages=1, input_tokens=10))
        make_run(bob, used=Used("m-1", messages=1, input_tokens=500))
        gone = make_user("Gone")
        make_run(gone, used=Used("m-1", messages=1, input_tokens=99))
        User.objects.filter(pk=gone.pk).delete()
        usage = usage_module.read_usage(PERIODS["30d"])
        assert usage is not None
        assert [user.email for user in usage.users] == ["bob@example.org", None, "alice@example.org"]
        assert "erased" in show(sam, period="30d")


class TestNotKnown:
    def test_without_redis_it_says_so(self, sam: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        nobody = redis.Redis.from_url("redis://127.0.0.1:9/0", socket_connect_timeout=1)
        monkeypatch.setattr("accounts.online.sync_redis", lambda: nobody)
        html = show(sam)
        for title in ("Users online", "Open sockets", "Workers"):
            assert tile(html, title) == ("?", "Unknown: Redis does not respond.", ""), title
        assert tile(html, "Queued runs")[0] == "0"  # PostgreSQL knows

    def test_what_takes_too_long_is_given_up(self, sam: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(queries, "TIMEOUT_SECONDS", 0.05)
        slow = "SELECT count(*), null, null, null, null, null, null, null FROM (SELECT pg_sleep(30)) one"
        monkeypatch.setattr(runs_module, "_RUNS", slow)
        html = show(sam)
        assert tile(html, "Runs")[:2] == ("?", "Unknown: the query took too long. Choose a shorter period.")
        assert "No failures" not in html

    def test_what_was_read_in_part_says_so(self, sam: Client, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
        for ago in (50, 40, 30, 20):
            make_run(alice, ago=ago, used=Used("m-1", messages=1, input_tokens=1))
        monkeypatch.setattr(queries, "MAX_ROWS", 3)
        runs = runs_module.read_runs(PERIODS["1h"])
        assert runs is not None
        assert (runs.count, runs.complete) == (3, False)
        assert (timezone.now() - runs.since).total_seconds() < 45
        assert "Only the newest 3" in show(sam)

    def test_no_workers_is_bad_news(self, sam: Client) -> None:
        assert tile(show(sam), "Workers")[:2] == ("0", "no messages are being answered")


class TestDoor:
    def test_others_get_the_plain_index(self) -> None:
        html = show(staff_client("view_run"))
        assert "staff-board" not in html
        assert "/admin/chat/run/" in html

    def test_no_link_where_one_may_not_go(self, alice: User) -> None:
        make_run(alice, status="failed", error_code="upstream_timeout", used=Used("m-1", input_tokens=4))
        html = show(staff_client("view_dashboard"))
        assert tile(html, "Failed runs")[0] == "1"
        assert not re.findall(r'href="/admin/(chat|accounts)/', html)


class TestDrawing:
    def test_bars_add_up(self) -> None:
        chart = draw([Column("a", (1, 3)), Column("b", (2, 0), "/x"), Column("c", (0, 0))])
        assert chart.most == 4
        assert [(one.y, one.height) for one in chart.bars[0].segments] == [(75.0, 25.0), (0.0, 75.0)]
        assert [one.height for one in chart.bars[1].segments] == [50.0]
        assert chart.bars[2].segments == []
        assert [bar.x for bar in chart.bars] == [0, 10, 20]

    def test_little_is_seen_beside_much(self) -> None:
        assert draw([Column("a", (1_000_000,)), Column("b", (1,))]).bars[1].segments[0].height == 1.0

    def test_nothing(self) -> None:
        assert draw([]).most == 0
        assert draw([Column("a", (0,))]).most == 0


class TestWays:
    def test_a_refresh_brings_the_figures_only(self, sam: Client) -> None:
        """A whole page would bring a style with another nonce, which the browser would refuse aloud."""
        html = sam.get("/admin/", headers={"X-Requested-With": "fetch"}).content.decode()
        assert tile(html, "Runs")[0] == "0"
        assert "<style" not in html
        assert "<html" not in html

    def test_the_sidebar_has_what_one_may_see(self) -> None:
        html = show(staff_client("view_run", "view_auditentry"))
        for page in ("/admin/chat/run/", "/admin/accounts/auditentry/", "/admin/help/", "/accounts/usage/"):
            assert f'href="{page}"' in html, page
        for page in ("/admin/accounts/user/", "/admin/accounts/plan/"):
            assert f'href="{page}"' not in html, page

    def test_no_page_is_lost(self) -> None:
        root = Client()
        root.force_login(User.objects.create_superuser("root@example.org", "a b c d e f g h"))
        html = show(root)
        for model in admin.site._registry:
            assert f'href="/admin/{model._meta.app_label}/{model._meta.model_name}/"' in html

    def test_the_handbook(self, sam: Client) -> None:
        html = sam.get("/admin/help/").content.decode()
        assert "Common questions" in html
        text = html.partition("staff-help")[2]
        assert "<img" not in text
        assert "<br" not in text  # lines of the file are wrapped
        assert Client().get("/admin/help/").status_code == 302
