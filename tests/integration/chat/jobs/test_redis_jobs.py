"""Jobs that are written into the broker's list are those that Celery's own client writes."""

from __future__ import annotations

import base64
import json
import uuid
from typing import Any

import pytest

from accounts.lib.db import in_db
from accounts.lib.redis import sync_redis
from chat.jobs import dispatch, redis_jobs
from chat.jobs.dispatch import GENERATE, GENERATE_QUEUE, PUBLISHED, Queue, enqueue, look_at_queue, send_generation
from chat.telemetry import tracing

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("layer")]

DIFFERENT = ("id", "root_id", "origin")  # of two jobs


@pytest.fixture(autouse=True)
def empty_queue() -> None:
    sync_redis().delete(GENERATE_QUEUE)


def job() -> dict[str, Any]:
    """The job that is next, taken from the list."""
    raw: Any = sync_redis().rpop(GENERATE_QUEUE)
    found: dict[str, Any] = json.loads(raw)
    found["body"] = json.loads(base64.b64decode(found["body"]))
    return found


def comparable(one: dict[str, Any]) -> dict[str, Any]:
    for name in DIFFERENT:
        assert isinstance(one["headers"].pop(name), str)
    assert isinstance(one["headers"].pop(PUBLISHED), float)
    properties = one["properties"]
    assert properties.pop("correlation_id") != properties.pop("delivery_tag")
    assert isinstance(properties.pop("reply_to"), str)
    return one


async def test_a_job_has_what_celery_writes() -> None:
    run_id = uuid.uuid4()
    traceparent = f"00-{'a' * 32}-{'b' * 16}-01"
    tracing.current.set(traceparent)  # of this test's task
    await enqueue(run_id)
    ours = job()
    await in_db(send_generation, run_id, traceparent)
    assert comparable(ours) == comparable(job())


async def test_a_job_says_when_it_was_published() -> None:
    run_id = uuid.uuid4()
    await enqueue(run_id, offered=True)
    assert await look_at_queue() == Queue(known=True, length=1, oldest=run_id)
    headers = job()["headers"]
    assert headers["task"] == GENERATE
    assert isinstance(headers[PUBLISHED], float)


async def test_another_broker_is_published_to_by_celery(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert redis_jobs.is_possible()
    settings.CELERY_BROKER_URL = "redis://192.0.2.1:6379/0"
    sent: list[dict[str, Any]] = []

    class App:
        @staticmethod
        def send_task(name: str, **options: Any) -> None:
            sent.append({"name": name, **options})

    monkeypatch.setattr(dispatch, "current_app", App)
    await enqueue(uuid.uuid4())
    assert [one["queue"] for one in sent] == [GENERATE_QUEUE]
    assert not sync_redis().llen(GENERATE_QUEUE)
