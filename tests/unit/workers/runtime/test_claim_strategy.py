"""The job of a run: carried out in a thread of Celery's pool, acknowledged when it is done, whatever happens."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import psycopg.errors
import pytest
from celery import current_app
from celery.exceptions import InvalidTaskError
from django.db import OperationalError

from chat.jobs.dispatch import GENERATE
from workers.runtime.claim_strategy import strategy


class Job:
    """A message, the consumer that got it, and what happens to it, in order."""

    def __init__(self, body: Any = (["run"], {}, {}), run: Callable[..., None] | None = None) -> None:
        self.happened: list[Any] = []
        self.body = body
        self.headers = {"traceparent": "00-…", "published": 1.0}
        task = SimpleNamespace(
            name=GENERATE, run=run or (lambda *args, **options: self.happened.append((args, options)))
        )
        consumer = SimpleNamespace(pool=self, connection_errors=(OSError,))
        self.handle = strategy(task, None, consumer)

    def decode(self) -> Any:
        if isinstance(self.body, Exception):
            raise self.body
        return self.body

    def apply_async(self, target: Callable[[], None], *, callback: Callable[[Any], None]) -> None:
        self.happened.append("given to a thread")
        target()
        callback(None)

    def arrive(self) -> None:
        self.handle(self, None, lambda *args: self.happened.append(("acknowledged", args[1])), lambda *_: None, [])


def test_it_is_carried_out_in_a_thread_and_acknowledged_then() -> None:
    job = Job()
    job.arrive()
    assert job.happened == ["given to a thread", (("run",), {"headers": job.headers}), ("acknowledged", (OSError,))]


def test_one_that_fails_is_acknowledged(caplog: pytest.LogCaptureFixture) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no")

    job = Job(run=fail)
    job.arrive()
    assert job.happened == ["given to a thread", ("acknowledged", (OSError,))]
    assert "job_failed" in caplog.text


@pytest.mark.parametrize(
    ("cause", "reason"),
    [(psycopg.errors.LockNotAvailable("canceling statement due to lock timeout"), "locked"),
     (psycopg.OperationalError("server closed the connection"), "OperationalError")],
)  # fmt: skip
def test_a_claim_that_postgresql_put_off_is_a_line_and_no_bug(
    cause: Exception, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OperationalError(str(cause)) from cause

    job = Job(run=fail)
    job.arrive()
    assert job.happened == ["given to a thread", ("acknowledged", (OSError,))]
    [line] = caplog.records
    assert "claim_postponed" in line.getMessage()
    assert f"'reason': '{reason}'" in line.getMessage() or f"reason={reason}" in line.getMessage()
    assert line.levelname == "WARNING"
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("body", [None, 5, ["x"], ValueError("no JSON")], ids=["none", "number", "short", "broken"])
def test_what_is_no_job_is_refused(body: Any) -> None:
    job = Job(body)
    with pytest.raises(InvalidTaskError):
        job.arrive()
    assert job.happened == []


def test_the_task_has_this_strategy() -> None:
    import workers.tasks  # noqa: F401 -- registers it

    assert current_app.tasks[GENERATE].Strategy == "workers.runtime.claim_strategy:strategy"
