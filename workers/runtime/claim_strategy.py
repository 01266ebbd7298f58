"""How Celery's consumer carries out the job of a run: in a thread of its pool, without a request object and a tracer.

Celery makes a request of each message and traces the task through a dozen hooks, for results, retries, time limits,
revocations and events, of which the job of a run has none: it claims a row and hands it to the loop. This is the
`Strategy` of that task, which Celery calls for each of its messages. A message is acknowledged when its job is done, so
that a full worker gets no more than it has threads for. A run that could not be claimed, because PostgreSQL was away or
somebody had locked its row, stays queued: `chat.recovery.reaper` publishes its job again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import structlog
from celery.exceptions import InvalidTaskError

from accounts.lib.outage import OUTAGE, is_lock_timeout

NAME: Final = f"{__name__}:strategy"

logger = structlog.get_logger(__name__)


def strategy(task: Any, app: Any, consumer: Any, **_: Any) -> Callable[..., None]:
    """The handler of the task's messages, called by Celery's consumer, which is connected anew after each loss."""
    pool, run, errors = consumer.pool, task.run, consumer.connection_errors

    def handle(message: Any, payload: Any, ack: Callable[..., None], *_: Any) -> None:
        try:
            args, _kwargs, *_rest = payload if payload is not None else message.decode()
        except (ValueError, TypeError) as error:
            raise InvalidTaskError(str(error)) from error

        def carry_out() -> None:
            try:
                run(*args, headers=message.headers)
            except OUTAGE as error:
                reason = "locked" if is_lock_timeout(error) else type(error).__name__
                logger.warning("claim_postponed", run=args[0], reason=reason, note="it is published again")
            except Exception:
                logger.exception("job_failed", job=task.name)
            finally:
                ack(logger, errors)

        pool.apply_async(carry_out, callback=_done)

    return handle


def _done(_: object) -> None:
    """The pool calls something when a job is done."""
