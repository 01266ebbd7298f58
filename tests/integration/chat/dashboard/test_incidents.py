"""The dashboard during incidents: it names the cause in the words of `manage.py health`, and not its effects."""

from __future__ import annotations

import html as entities
import re
from collections.abc import Iterator

import pytest
from asgiref.sync import async_to_sync
from django.test import Client

from accounts.lib.redis import sync_redis
from chat.dashboard.cache import cache
from chat.jobs.worker_heartbeats import EndpointState, Heartbeat, beat
from config.ops.diagnosis import examine
from config.staff.dashboard import CHECKS
from tests.fixtures.people import staff_client
from tests.integration.chat.dashboard.shown import show
from workers.runtime.beat_lease import LEASE

pytestmark = pytest.mark.usefixtures("clean_redis", "db")
HEADING = "Problems"


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


def run_beat() -> None:
    sync_redis().set(LEASE, "host-1:1:abc")


def run_worker(*endpoints: EndpointState) -> None:
    heart = Heartbeat("a", "host-1", 42, runs=1, slots=500, draining=False, since=0.0, endpoints=endpoints)
    async_to_sync(beat)(heart)


def named(html: str) -> list[tuple[str, str, str]]:
    """(level, part, what is said of it) of each part that is named."""
    found = re.findall(r"<b>(\w+)</b> <strong>([\w-]+)</strong> <span>([^<]*)</span>", html)
    return [(level, name, entities.unescape(said)) for level, name, said in found]


def test_while_all_is_well_there_is_nothing_to_read(sam: Client) -> None:
    run_beat()
    run_worker(EndpointState("openai", "openai.example.org", "", "closed", models=2, answered_at=1.0))
    html = show(sam)
    assert HEADING not in html
    assert '<div data-piece="health" role="status"></div>' in html, "it has no height"


def test_without_workers_nothing_is_said_of_endpoints(sam: Client) -> None:
    run_beat()
    html = show(sam)
    assert named(html) == [("fail", "workers", "No worker is alive.")]
    assert "Not known until that works: endpoints." in html
    assert "Start `manage.py worker`." in html


def test_a_full_redis_is_not_told_as_missing_workers(sam: Client, full_redis: None) -> None:
    """Before: "Workers 0, no messages are being answered", because heartbeats cannot be written."""
    html = show(sam)
    [(level, name, said)] = named(html)
    assert (level, name) == ("fail", "redis")
    assert said.startswith("Redis answers but takes no writes: full")
    assert "Not known until that works: workers, endpoints, queue, beat." in html
    assert "Raise maxmemory" in html
    assert html.count("Unknown: Redis takes no writes.") >= 4, "sockets, users, workers, and the table of workers"
    assert "No worker is running" not in html
    assert "no messages are being answered" not in html


def test_an_endpoint_that_is_down_is_named(sam: Client) -> None:
    """Before, every part of the first page was green while every answer failed."""
    run_beat()
    run_worker(
        EndpointState("openai", "openai.example.org", "upstream_unreachable", "closed", models=0, answered_at=0.0)
    )
    [(level, name, said)] = named(show(sam))
    assert (level, name) == ("fail", "endpoints")
    assert said == (
        "openai (openai.example.org): down at all workers (upstream_unreachable; no answer since the start)."
    )


def test_the_words_are_those_of_the_commands(sam: Client) -> None:
    said = [(one.level.value, one.name, one.said) for one in examine(CHECKS) if one.level != "ok" and not one.cause]
    assert named(show(sam)) == said
    assert [name for _level, name, _said in said] == ["workers", "beat"]


def test_who_may_not_see_the_dashboard_is_told_nothing() -> None:
    assert HEADING not in show(staff_client("view_run"))
