"""A page asks a worker for something and waits: a job in the queue of its kind, and a reply in a Redis list."""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from typing import Final

import redis
from celery import current_app
from django.conf import settings
from django.utils import translation
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from accounts.lib.redis import async_redis, sync_redis
from chat.jobs.queues import GENERATE_QUEUE, BrokerAway
from chat.jobs.worker_heartbeats import living_workers

WAIT_SECONDS: Final = 25.0
MOST_WAITING: Final = 2  # requests of one web process: each keeps one of the few threads on which pages are made

_lock = threading.Lock()
_in_wait: list[uuid.UUID | None] = []  # whose requests wait in this process


class NoReplyError(Exception):
    """No worker replied. `code` is for programs, the sentence for people."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence


def request_reply(
    task: str,
    args: Sequence[str],
    undone: str,
    *,
    seconds: float = WAIT_SECONDS,
    whose: uuid.UUID | None = None,
    queue: str = GENERATE_QUEUE,
) -> bytes:
    """What a worker replies to a task, which it gives `args` and where the reply goes. `undone` is a marked
    sentence about what did not happen if there is none, such as "The endpoint was not tested." Blocks for up to
    `seconds`. Raises `NoReplyError`.

    `whose`: the user who asks, of whom one request waits at a time; None: staff.
    """
    with _place(whose, undone):
        return _request(task, args, undone, seconds, queue)


@contextlib.contextmanager
def _place(whose: uuid.UUID | None, undone: str) -> Iterator[None]:
    """A place among the few requests of this process that may wait. Raises `NoReplyError` if there is none."""
    with _lock:
        if whose is not None and whose in _in_wait:
            raise NoReplyError(
                "busy", _say(_("Your last request is still waiting."), undone, _("Try again in a moment."))
            )
        if len(_in_wait) >= MOST_WAITING:
            raise NoReplyError(
                "busy", _say(_("Other requests are still waiting."), undone, _("Try again in a moment."))
            )
        _in_wait.append(whose)
    try:
        yield
    finally:
        with _lock:
            _in_wait.remove(whose)


def _request(task: str, args: Sequence[str], undone: str, seconds: float, queue: str) -> bytes:
    try:
        if not any(not heart.draining for heart in living_workers()):
            sentence = _say(_("No worker is running."), undone, _("Start one with `manage.py worker`."))
            raise NoReplyError("no_worker", sentence)
        reply_to = f"connection-test:{secrets.token_urlsafe(16)}"
        # A key that expires instead of `expires` on the job, which a worker would compare with its own clock.
        sync_redis().set(_waiting(reply_to), get_language() or settings.LANGUAGE_CODE, px=int(seconds * 1000))
        current_app.send_task(task, args=[*args, reply_to], queue=queue, retry=False, ignore_result=True)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if found := sync_redis().blpop([reply_to], timeout=1):
                reply: bytes | str = found[1]
                return reply if isinstance(reply, bytes) else reply.encode()
    except (redis.RedisError, BrokerAway):
        raise NoReplyError("no_redis", _say(_("Redis cannot be reached."), undone)) from None
    reason = _("No worker replied within %(seconds)s s.") % {"seconds": f"{seconds:g}"}
    raise NoReplyError("no_answer", _say(reason, undone, _("They may all be busy.")))


def _say(reason: str, undone: str, hint: str = "") -> str:
    """Sentences, of which `undone` is marked."""
    return " ".join(filter(None, (reason, _(undone), hint)))


async def is_awaited(reply_to: str) -> bool:
    """Whether somebody still waits for the reply."""
    return bool(await async_redis().exists(_waiting(reply_to)))


async def page_language(reply_to: str) -> contextlib.AbstractContextManager[None]:
    """The language of the page that waits, to be entered while the sentences of its reply are made."""
    stored: bytes | str | None = await async_redis().get(_waiting(reply_to))
    code = stored.decode() if isinstance(stored, bytes) else stored
    # What an earlier version stored is no language.
    return translation.override(code if code in dict(settings.LANGUAGES) else settings.LANGUAGE_CODE)


async def send_reply(reply_to: str, reply: bytes) -> None:
    """Gives the reply to who waits for it."""
    async with async_redis().pipeline(transaction=True) as pipe:
        pipe.rpush(reply_to, reply)
        pipe.expire(reply_to, int(WAIT_SECONDS))
        await pipe.execute()


def _waiting(reply_to: str) -> str:
    return f"{reply_to}:waiting"
