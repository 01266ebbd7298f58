"""A worker whose broker is away connects again soon, and says so without a stack trace."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any
from unittest import mock

import pytest
from celery import Celery

from chat.jobs import dispatch, queues
from config.celery import app
from workers.runtime import repeat as repeating
from workers.runtime.consumer import RETRY_SECONDS, Consumer


def test_the_worker_uses_it() -> None:
    assert app.conf.worker_consumer == "workers.runtime.consumer:Consumer"


def test_it_waits_two_seconds_at_most_between_two_attempts() -> None:
    """Celery's own wait grows to 30 s."""
    consumer = Consumer.__new__(Consumer)
    consumer.app, consumer.first_connection_attempt = app, True
    connection = mock.Mock(alt=[])
    connect = connection.ensure_connection
    consumer.ensure_connected(connection)
    _, options = connect.call_args
    assert options["interval_max"] == RETRY_SECONDS["interval_max"] == 2
    assert callable(options["callback"]), "what Celery gives itself is kept: it ends the wait at a shutdown"


async def test_a_broker_that_cannot_be_asked_is_away(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    settings.CELERY_BROKER_URL = "amqp://guest@127.0.0.1:9//"  # the discard port: nobody answers
    monkeypatch.setattr(queues, "current_app", Celery(broker=settings.CELERY_BROKER_URL, set_as_current=False))
    for _ in range(2):
        with pytest.raises(dispatch.BrokerAway):
            await dispatch.look_at_queue()


async def test_a_step_that_needs_the_broker_is_delayed(monkeypatch: pytest.MonkeyPatch) -> None:
    logger = mock.Mock()
    monkeypatch.setattr(repeating, "logger", logger)

    async def step() -> None:
        raise dispatch.BrokerAway

    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.05):
            await repeating.repeat(step, every=60)
    logger.warning.assert_called_once_with("maintenance_step_delayed", step="step", error="OperationalError")
    logger.exception.assert_not_called()
