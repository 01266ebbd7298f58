"""The queues, one for each kind of job, and how many jobs wait in them.

`settings.WORKER_QUEUES` has the names that operators use and those in the broker.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from celery import current_app
from django.conf import settings
from kombu.exceptions import OperationalError as BrokerAway

from accounts.lib.redis import sync_redis

GENERATE_QUEUE: Final = "generate"  # answers
TRANSCRIBE_QUEUE: Final = "transcribe"  # speech: recognised and spoken
TOOLS_QUEUE: Final = "tools"  # what pages ask of tool servers and search providers; an answer makes its own calls
FILES_QUEUE: Final = "files"  # reading of attached files, imports, exports
MODERATION_QUEUE: Final = "moderation"  # tests of judges; its workers also judge what waits for a verdict
MAINTENANCE_QUEUE: Final = "maintenance"  # clean-up, mails, notifications, webhooks
__all__ = [
    "FILES_QUEUE", "GENERATE_QUEUE", "MAINTENANCE_QUEUE", "MODERATION_QUEUE", "TOOLS_QUEUE", "TRANSCRIBE_QUEUE",
    "BrokerAway", "ask_broker", "broker_is_own_redis", "queue_lengths", "queue_names",
]  # fmt: skip
ASK_SECONDS: Final = 5.0  # for a connection to ask the broker on


def queue_names(text: str) -> list[str]:
    """The broker's names of a list such as `answers,tools`; of each kind either name is understood. Raises
    `ValueError` with a sentence.
    """
    known: dict[str, str] = settings.WORKER_QUEUES
    found = []
    for word in filter(None, (part.strip() for part in text.split(","))):
        if word not in known and word not in known.values():
            raise ValueError(f"There is no queue {word}. The queues are {', '.join(known)}.")
        found.append(known.get(word, word))
    if not found:
        raise ValueError(f"Name at least one queue: {', '.join(known)}.")
    return list(dict.fromkeys(found))


def broker_is_own_redis() -> bool:
    """Whether the jobs are on the server of REDIS_URL, where they can be counted without another connection."""
    return bool(settings.CELERY_BROKER_URL == settings.OWN_BROKER_URL)


def queue_lengths() -> dict[str, int]:
    """The number of waiting jobs by kind; a kind is missing if the broker does not count. Blocks.

    Raises `redis.RedisError` or `BrokerAway`.
    """
    kinds: dict[str, str] = settings.WORKER_QUEUES
    if not broker_is_own_redis():
        counted = ask_broker(list(kinds.values()))
        return {kind: counted[name] for kind, name in kinds.items() if name in counted}
    client: Any = sync_redis()
    pipe = client.pipeline(transaction=False)
    for name in kinds.values():
        pipe.llen(name)
    return dict(zip(kinds, map(int, pipe.execute()), strict=True))


def ask_broker(names: Sequence[str]) -> dict[str, int]:
    """The number of waiting jobs of each queue, by a passive declaration (AMQP 0-9-1, `queue.declare`), which every
    transport of kombu answers that can count; empty if this one cannot. Raises `BrokerAway`.
    """
    found: dict[str, int] = {}
    with current_app.pool.acquire(block=True, timeout=ASK_SECONDS) as connection:
        connection.ensure_connection(max_retries=0)  # also one of the pool's that was closed
        for name in names:
            try:
                with connection.channel() as channel:
                    found[name] = int(channel.queue_declare(name, passive=True).message_count)
            except connection.channel_errors:
                found[name] = 0  # nothing has declared the queue yet, so it has no jobs
            except (*connection.connection_errors, OSError) as error:
                connection.collect()  # the next call connects again
                raise BrokerAway(str(error)) from error
            except NotImplementedError:
                return {}
    return found
