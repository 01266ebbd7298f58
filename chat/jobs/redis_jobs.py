"""Jobs in the list of a Redis broker, written as Celery and kombu write them, in the channel layer's pipeline.

Celery's own client costs a change of threads and several times the CPU, and each message has a job. Only where the
broker is the Redis of the channel layer (the default); Celery publishes to any other. The format: Celery's message
protocol 2 (https://docs.celeryq.dev/en/stable/internals/protocol.html) in the envelope of kombu's virtual transports.
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from django.conf import settings

from chat.eventlog.store import channel_layer
from chat.jobs.queues import broker_is_own_redis

_OPTIONS: Final = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}

_encoder: Final = msgspec.json.Encoder()


def is_possible() -> bool:
    """Whether the broker is the channel layer's one Redis."""
    return broker_is_own_redis() and settings.EVENT_LOG_REDIS_URLS == [settings.REDIS_URL]


async def publish(queue: str, task: str, args: list[str], headers: Mapping[str, Any]) -> None:
    """Publishes a job. Raises `redis.RedisError`."""
    await channel_layer().group_execute("jobs", "LPUSH", queue, encode(queue, task, args, headers))


def encode(queue: str, task: str, args: list[str], headers: Mapping[str, Any]) -> bytes:
    """The entry of the broker's list. `args` and `headers` as of `Celery.send_task`; nothing is done with a result."""
    task_id, tag = str(uuid.uuid4()), str(uuid.uuid4())
    about = {
        "lang": "py", "task": task, "id": task_id, "root_id": task_id, "parent_id": None, "group": None,
        "group_index": None, "eta": None, "expires": None, "retries": 0, "timelimit": (None, None), "shadow": None,
        "argsrepr": repr(args), "kwargsrepr": "{}", "origin": "", "ignore_result": True, "replaced_task_nesting": 0,
        "stamped_headers": None, "stamps": {}, **headers,
    }  # fmt: skip
    return _encoder.encode(
        {
            "body": base64.b64encode(_encoder.encode((args, {}, _OPTIONS))).decode(),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": about,
            "properties": {
                "correlation_id": task_id,
                "reply_to": "",
                "delivery_mode": 2,
                "delivery_info": {"exchange": "", "routing_key": queue},
                "priority": 0,
                "body_encoding": "base64",
                "delivery_tag": tag,
            },
        }
    )
