"""Pages that wait for a worker keep few of the threads on which all pages are made."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Generator
from typing import Any

import pytest
from django.db import OperationalError
from django.utils.translation import get_language

from accounts.lib.redis import sync_redis
from chat.jobs import tool_servers as ask
from chat.jobs import worker_replies
from chat.jobs.tool_servers import ServerReply
from chat.jobs.worker_replies import MOST_WAITING, NoReplyError, request_reply
from config.web.pages import THREADS
from workers.tools.servers import requests

pytestmark = pytest.mark.usefixtures("clean_redis")


class Waiting:
    """Requests that wait until they are released."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.threads: list[threading.Thread] = []
        self.replies: list[bytes] = []

    def _wait(self, whose: uuid.UUID | None) -> None:
        self.replies.append(request_reply("task", [], "It was not done.", whose=whose))

    def start(self, whose: uuid.UUID | None) -> None:
        began = len(worker_replies._in_wait)
        made = threading.Thread(target=self._wait, args=[whose])
        self.threads.append(made)
        made.start()
        while len(worker_replies._in_wait) == began:
            self.go_on.wait(0.01)


@pytest.fixture
def waiting(monkeypatch: pytest.MonkeyPatch) -> Generator[Waiting]:
    found = Waiting()

    def answer_later(*_: Any) -> bytes:
        assert found.go_on.wait(20)
        return b"done"

    monkeypatch.setattr(worker_replies, "_request", answer_later)
    yield found
    found.go_on.set()
    for thread in found.threads:
        thread.join()
    assert found.replies == [b"done"] * len(found.threads)
    assert worker_replies._in_wait == []


def test_one_person_waits_once(waiting: Waiting) -> None:
    ann = uuid.uuid4()
    waiting.start(ann)
    with pytest.raises(NoReplyError, match=r"Your last request is still waiting\. It was not done\."):
        request_reply("task", [], "It was not done.", whose=ann)
    waiting.start(uuid.uuid4())


def test_all_together_leave_threads_for_other_pages(waiting: Waiting) -> None:
    """Four requests kept all four threads for up to 25 s, so nobody had any page."""
    for _ in range(MOST_WAITING):
        waiting.start(None)
    with pytest.raises(NoReplyError, match="Other requests are still waiting"):
        request_reply("task", [], "It was not done.")
    assert THREADS - MOST_WAITING >= 2


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (RuntimeError("odd"), "internal error"),
        (OperationalError("away"), "database cannot be reached"),
        (None, "did not answer within"),
    ],
)
async def test_whoever_waits_is_answered_whatever_happens(
    error: Exception | None, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unforeseen error left the page waiting for 25 s, with a sentence about busy workers."""

    async def fail(*_: Any) -> ServerReply:
        if error is not None:
            raise error
        await asyncio.sleep(60)  # a server that sends a byte now and then
        raise AssertionError

    monkeypatch.setattr(requests, "_do", fail)
    monkeypatch.setattr(requests, "WAIT_SECONDS", 0.2)
    monkeypatch.setattr(requests, "REPLY_SECONDS", 0.1)
    sync_redis().set("a-reply:waiting", b"1")
    async with asyncio.timeout(10):
        await requests.answer("test", uuid.uuid4(), [], "a-reply")
    reply = ask._decode(sync_redis().lpop("a-reply"))  # type: ignore[arg-type]  # bytes
    assert not reply.passed
    assert sentence in reply.sentence


@pytest.mark.parametrize(("asked_in", "answered_in"), [("de", "de"), ("xx", "en"), ("1", "en")])
async def test_the_reply_is_in_the_language_of_the_page(
    asked_in: str, answered_in: str, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    """Also the version before this one, which stored a 1 there, is answered."""
    settings.LANGUAGES = [("en", "English"), ("de", "Deutsch")]

    async def reply(*_: Any) -> ServerReply:
        return ServerReply(True, get_language() or "")

    monkeypatch.setattr(requests, "_do", reply)
    sync_redis().set("a-reply:waiting", asked_in)
    await requests.answer("test", uuid.uuid4(), [], "a-reply")
    assert ask._decode(sync_redis().lpop("a-reply")).sentence == answered_in  # type: ignore[arg-type]  # bytes
    assert get_language() == "en"
