"""Reports name the cause: a Redis that takes no writes, an endpoint that is down, and not their effects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis
from asgiref.sync import async_to_sync

from accounts.lib.redis import sync_redis
from chat.jobs.worker_heartbeats import EndpointState, Heartbeat, beat
from config.ops.diagnosis import SERVING, Level, examine
from config.web import health
from config.web.metrics import _endpoints_up, _redis_state
from workers.providers.config import Definition

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clean_redis")]


@pytest.fixture
def replica() -> Iterator[None]:
    client: Any = sync_redis()
    client.execute_command("REPLICAOF", "127.0.0.1", "1")
    yield
    client.execute_command("REPLICAOF", "NO", "ONE")


def endpoint(name: str, failure: str = "", breaker: str = "closed", answered_at: float = 0.0) -> EndpointState:
    return EndpointState(name, f"{name}.example.org", failure, breaker, models=2, answered_at=answered_at)


def working(owner: str, *endpoints: EndpointState) -> None:
    heart = Heartbeat(owner, "host-1", 42, runs=1, slots=500, draining=False, since=0.0, endpoints=endpoints)
    async_to_sync(beat)(heart)


def said(*names: str) -> dict[str, tuple[Level, str, str]]:
    return {one.name: (one.level, one.said, one.advice) for one in examine(names)}


class TestRedis:
    def test_a_full_one_is_the_cause_and_workers_are_not(self, full_redis: None) -> None:
        """Before: "No worker is alive. Start `manage.py worker`", which changed nothing."""
        found = said("redis", "workers", "endpoints", "queue", "beat")
        assert found["redis"][0] is Level.FAIL
        assert "takes no writes: full" in found["redis"][1]
        assert "maxmemory" in found["redis"][2]
        for effect in ("workers", "endpoints", "queue", "beat"):
            assert found[effect][1:] == ("Not known while `redis` fails.", "See the check `redis`."), effect

    def test_the_web_process_is_not_ready(self, full_redis: None) -> None:
        """Before, a PING was enough for `/readyz` to be 200."""
        assert async_to_sync(health._check_redis)() == "takes no writes: full"

    def test_a_replica_takes_no_writes_either(self, replica: None) -> None:
        assert async_to_sync(health._check_redis)() == "takes no writes: a read-only replica"
        assert "primary" in said("redis")["redis"][2]

    def test_the_metrics_tell_it_from_one_that_is_away(self, full_redis: None, monkeypatch: pytest.MonkeyPatch) -> None:
        found = _redis_state()
        assert found["redis_writable"] == 0.0
        assert found["redis_memory_used"] > 1
        away = redis.Redis(port=1, socket_connect_timeout=1)
        monkeypatch.setattr("config.web.metrics.sync_redis", lambda: away)
        with pytest.raises(redis.ConnectionError):
            _redis_state()

    def test_one_that_takes_writes_is_well(self) -> None:
        assert async_to_sync(health._check_redis)() is None
        assert said("redis")["redis"][0] is Level.OK
        assert _redis_state() == {"redis_writable": 1.0}


class TestEndpoints:
    def test_health_asks_for_them(self) -> None:
        assert SERVING.index("workers") < SERVING.index("endpoints") < SERVING.index("queue")

    def test_one_that_every_worker_finds_down_fails(self) -> None:
        """Before, all checks were green while every answer failed."""
        down = endpoint("openai", "upstream_unauthorized", answered_at=1.0)
        working("a", down)
        working("b", endpoint("openai", breaker="open"))
        level, text, advice = said("endpoints")["endpoints"]
        assert level is Level.FAIL
        assert "openai (openai.example.org): down at all workers (upstream_unauthorized; the last answer" in text
        assert "OPENAI_API_KEY" in advice

    def test_one_of_two_is_a_warning_and_so_is_one_worker_of_two(self) -> None:
        working("a", endpoint("openai", "upstream_timeout"), endpoint("local"))
        assert said("endpoints")["endpoints"][0] is Level.WARN
        working("b", endpoint("openai"), endpoint("local"))
        level, text, _advice = said("endpoints")["endpoints"]
        assert (level, text) == (Level.WARN, "openai (openai.example.org) fails at some workers only.")

    def test_all_well(self) -> None:
        working("a", endpoint("openai"), endpoint("local"))
        level, text, _advice = said("endpoints")["endpoints"]
        assert level is Level.OK
        assert "4 models on offer at the running workers" in text

    def test_the_demo_model_has_no_address(self) -> None:
        demo = Definition(id="demo", name="demo", kind="demo")
        working("a", EndpointState("demo", demo.place, "", "closed", models=1, answered_at=0.0))
        assert said("endpoints")["endpoints"][1] == "demo: 1 model on offer at the running workers."

    def test_without_workers_nothing_is_known(self) -> None:
        assert said("workers", "endpoints")["endpoints"][1] == "Not known while `workers` fails."

    def test_the_metric_is_1_if_one_worker_can_use_it(self) -> None:
        hearts = [
            Heartbeat("a", "h", 1, 0, 1, draining=False, since=0.0, endpoints=(endpoint("x", "upstream_cut"),)),
            Heartbeat(
                "b", "h", 1, 0, 1, draining=False, since=0.0, endpoints=(endpoint("x"), endpoint("y", breaker="open"))
            ),
        ]
        assert _endpoints_up(hearts) == {"x": 1.0, "y": 0.0}

    def test_a_heartbeat_of_an_older_worker_is_read(self) -> None:
        sync_redis().set(
            "worker:old", b'{"owner":"old","host":"h","pid":1,"runs":0,"slots":1,"draining":false,"since":0}'
        )
        level, text, _advice = said("endpoints")["endpoints"]
        assert (level, "no endpoint yet" in text) == (Level.OK, True)
