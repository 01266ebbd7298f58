"""Jobs of each kind wait in a queue of their own, which is counted where the jobs are."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest
from celery import Celery, current_app
from django.core.management import CommandError, call_command

from accounts.lib.redis import sync_redis
from chat.jobs import dispatch, queues, tool_servers, worker_replies
from chat.jobs.queues import GENERATE_QUEUE, queue_lengths, queue_names
from chat.portability import transfers
from config.stack.valkey import PrivateValkey

pytestmark = pytest.mark.usefixtures("clean_redis")


def test_operators_name_queues_by_kind_or_by_their_names_in_the_broker() -> None:
    assert queue_names("answers, speech,generate") == ["generate", "transcribe"]
    assert queue_names("files,moderation") == ["files", "moderation"]


@pytest.mark.parametrize("text", ["", " , ", "answer", "answers,celery"])
def test_a_queue_that_nothing_goes_to_is_refused(text: str) -> None:
    """Before, such a worker started and took no job."""
    with pytest.raises(ValueError, match="answers, speech, tools, files, moderation, maintenance"):
        queue_names(text)
    with pytest.raises(CommandError, match="answers"):
        call_command("worker", f"--queues={text}")


def test_each_kind_is_counted(settings: Any) -> None:
    for name, jobs in (("generate", 2), ("files", 3)):
        for _ in range(jobs):
            sync_redis().lpush(name, "x")
    assert queue_lengths() == {
        "answers": 2, "speech": 0, "tools": 0, "files": 3, "moderation": 0, "maintenance": 0,
    }  # fmt: skip


@pytest.mark.django_db(transaction=True)
def test_files_imports_and_tool_servers_go_to_their_queues(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_replies, "living_workers", lambda: [_Awake()])
    current_app._after_fork()  # new connections: older ones have declared queues, and Redis was emptied since
    dispatch.enqueue_reading(uuid.uuid4())
    transfers.publish(transfers.IMPORT_TASK, uuid.uuid4())
    with pytest.raises(worker_replies.NoReplyError):
        worker_replies.request_reply(tool_servers.TASK, ["x"], "", seconds=0.1, queue=queues.TOOLS_QUEUE)
    found = queue_lengths()
    assert (found["files"], found["tools"], found["answers"], found["maintenance"]) == (2, 1, 0, 0)


class _Awake:
    draining = False


async def test_a_separate_redis_is_asked_for_its_own_queue(
    tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before, the queue of REDIS_URL was looked at, which was always empty: recovery took every job for lost."""
    server = PrivateValkey(tmp_path / "b")
    server.start()
    try:
        url = f"redis+socket://{server.socket}?virtual_host=0"
        app = Celery(broker=url, set_as_current=False)
        for module in (dispatch, queues):
            monkeypatch.setattr(module, "current_app", app)
        settings.CELERY_BROKER_URL = url
        assert await dispatch.look_at_queue() == dispatch.Queue(known=True)
        for _ in range(3):
            await dispatch.enqueue(uuid.uuid4(), offered=True)
        assert sync_redis().llen(GENERATE_QUEUE) == 0
        assert await dispatch.look_at_queue() == dispatch.Queue(known=True, length=3)
        assert queue_lengths()["answers"] == 3
        app.close()
    finally:
        server.stop()
