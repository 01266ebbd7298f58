"""Staff see what waits for workers and what they do, by kind of job."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.utils import timezone

from accounts.lib.redis import sync_redis
from accounts.models import User
from chat.dashboard import queues
from chat.dashboard.queues import KINDS, read_queues
from chat.jobs.processes import Reporter
from chat.jobs.queues import BrokerAway
from chat.models import Blob, ExportJob
from tests.fixtures.people import staff_client
from tests.integration.chat.dashboard.shown import make_run

pytestmark = pytest.mark.usefixtures("clean_redis", "db")


def ago(seconds: float) -> Any:
    return timezone.now() - timedelta(seconds=seconds)


def shown(*permissions: str, superuser: bool = False) -> str:
    page = staff_client(*permissions, superuser=superuser).get("/admin/queues/")
    assert page.status_code == 200
    return " ".join(re.sub(r"<[^>]+>", " ", page.content.decode()).split())


def make_blob(number: int, **fields: Any) -> Blob:
    return Blob.objects.create(
        sha256=f"{number:064}", size=1, media_type="text/plain", kind="text", path="x", created_at=ago(300), **fields
    )


def test_every_kind_of_job_is_shown() -> None:
    assert KINDS.keys() == django_settings.WORKER_QUEUES.keys()
    found = read_queues()
    assert found is not None
    assert [one.kind for one in found] == list(django_settings.WORKER_QUEUES)
    assert all(one.jobs == 0 and one.workers == () for one in found)
    works = [state for one in found for state in one.works.values()]
    assert {(state.waiting, state.running or 0, state.oldest) for state in works} == {(0, 0, None)}


def test_what_waits_what_runs_and_for_how_long(alice: User) -> None:
    for status, seconds in (("queued", 200.0), ("queued", 20.0), ("running", 500.0), ("done", 900.0)):
        make_run(alice, seconds, status)
    make_blob(1)
    make_blob(2, claimed_until=ago(-60))
    make_blob(3, claimed_until=ago(60))  # of a worker that was lost
    ExportJob.objects.create(user=alice, state="running")
    sync_redis().rpush("generate", "a job", "another")
    Reporter("worker").report_now()
    found = {one.kind: one for one in read_queues() or []}
    answers, files = found["answers"], found["files"]
    assert answers.jobs == 2
    state = answers.works["answers"]
    assert (state.waiting, state.running) == (2, 1)
    assert state.oldest == pytest.approx(200, abs=60)
    assert (files.works["reading"].waiting, files.works["reading"].running) == (2, 1)
    assert files.works["reading"].oldest == pytest.approx(300, abs=60)
    assert (files.works["exports"].waiting, files.works["exports"].running) == (0, 1)
    text = shown(superuser=True)
    assert "Jobs in the broker: 2 No worker serves it." in text
    assert "Answers 2 3 min 1" in text
    assert "Files to read 2 5 min 1" in text


def test_who_serves_a_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "_serving", lambda: {"generate": ["machine, PID 7"]})
    found = {one.kind: one for one in read_queues() or []}
    assert list(found["answers"].workers or ()) == ["machine, PID 7"]
    assert found["speech"].workers == ()
    assert "Served by: machine, PID 7" in shown(superuser=True)


def test_without_a_broker_the_rows_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> Any:
        raise BrokerAway("gone")

    monkeypatch.setattr(queues, "queue_lengths", away)
    assert "Jobs in the broker: unknown" in shown(superuser=True)


def test_it_needs_the_permission_of_periodic_jobs() -> None:
    assert staff_client("view_dashboard").get("/admin/queues/").status_code == 403


def test_whoever_sees_periodic_jobs_sees_it() -> None:
    assert "Answers" in shown("view_periodicjob")
