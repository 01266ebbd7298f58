"""Of several beat processes one publishes (workers.runtime.scheduler)."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import OperationalError

from accounts.lib.redis import sync_redis
from chat.models import PeriodicJob
from config.celery import app
from tests.integration.config.ops.operating import days_ago
from workers.runtime import periodic
from workers.runtime.beat_lease import LEASE, beat_owner
from workers.runtime.periodic import recorded, recorded_round
from workers.runtime.scheduler import RENEW_SECONDS, LeasedScheduler

pytestmark = pytest.mark.django_db


class Recording(LeasedScheduler):
    """A scheduler of one job that is always due; publishing is counted."""

    def __init__(self) -> None:
        self.published = 0
        super().__init__(app=app, lazy=True)
        self.setup_schedule()
        self.data.clear()
        self.add(name="purge", task="workers.maintenance.purge", schedule=0.0)

    def apply_entry(self, entry: object, producer: object = None) -> None:
        self.published += 1

    def tick(self, *args: Any, **options: Any) -> float:
        self._asked_at = 0.0  # as if the time to renew had come
        return super().tick(*args, **options)

    @property
    def producer(self) -> None:  # of a broker that is not needed here
        return None


@pytest.mark.usefixtures("clean_redis")
def test_one_publishes_and_the_other_stands_by() -> None:
    one, two = Recording(), Recording()
    for _ in range(3):
        one.tick()
        assert two.tick() == RENEW_SECONDS
    assert (one.published > 0, two.published) == (True, 0)
    assert beat_owner() == one.owner


@pytest.mark.usefixtures("clean_redis")
def test_the_other_takes_over_when_one_ends_and_when_it_is_lost() -> None:
    one, two = Recording(), Recording()
    one.tick()
    one.close()
    two.tick()
    assert two.published == 1, "the lease was given back"
    sync_redis().delete(LEASE)  # as when `two` was frozen for too long
    three = Recording()
    three.tick()
    before = two.published
    assert two.tick() == RENEW_SECONDS
    assert (two.published, three.published) == (before, 1)
    two.close()
    assert beat_owner() == three.owner, "nobody gives back what another has"


@pytest.mark.usefixtures("clean_redis")
def test_without_redis_nothing_is_published(monkeypatch: pytest.MonkeyPatch) -> None:
    import redis

    one = Recording()
    away = redis.Redis(port=1, socket_connect_timeout=1)
    monkeypatch.setattr("workers.runtime.scheduler.sync_redis", lambda: away)
    assert one.tick() == RENEW_SECONDS
    one.close()
    assert one.published == 0


class Hourly(LeasedScheduler):
    """A scheduler of one hourly job, as beat has it. What it publishes is counted, and recorded as usual."""

    def __init__(self) -> None:
        self.sent = 0
        super().__init__(app=app, lazy=True)
        self.setup_schedule()
        self.data.clear()
        self.add(name="purge", task="of.another.program", schedule=3600.0)  # so that `send_task` publishes it

    def send_task(self, *args: Any, **options: Any) -> None:
        self.sent += 1

    @property
    def producer(self) -> None:  # of a broker that is not needed here
        return None


@pytest.mark.usefixtures("clean_redis")
def test_a_beat_that_is_restarted_each_half_hour_still_purges_each_hour() -> None:
    """Its clock is in the database. In memory it began anew at each start, and the purge was never due."""

    def restarted() -> int:
        beat = Hourly()
        beat.tick()
        beat.close()
        return beat.sent

    assert restarted() == 0, "the first hour begins"
    PeriodicJob.objects.update(published_at=days_ago(0.5 / 24))
    assert restarted() == 0
    PeriodicJob.objects.update(published_at=days_ago(1.01 / 24))
    assert restarted() == 1
    assert PeriodicJob.objects.get(name="purge").published_at > days_ago(0.5 / 24)
    assert restarted() == 0


@pytest.mark.usefixtures("clean_redis")
def test_without_the_database_nothing_is_published_and_beat_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_names: object) -> None:
        raise OperationalError("away")

    PeriodicJob.objects.create(name="purge", published_at=days_ago(1))
    with monkeypatch.context() as patched:
        patched.setattr("workers.runtime.scheduler.last_published", away)
        beat = Hourly()
        assert beat.tick() == RENEW_SECONDS
        assert beat.sent == 0
    beat.tick()
    assert beat.sent == 1, "it is back"


def test_a_run_is_recorded_with_its_report_or_its_error() -> None:
    @recorded("seal-audit")
    def well() -> dict[str, Any]:
        return {"sealed": 3}

    @recorded("purge")
    def ill() -> dict[str, Any] | None:
        raise ZeroDivisionError

    well()
    with pytest.raises(ZeroDivisionError):
        ill()
    done, failed = PeriodicJob.objects.get(name="seal-audit"), PeriodicJob.objects.get(name="purge")
    assert (done.report, done.error, done.ended_at is not None) == ({"sealed": 3}, "", True)
    assert (failed.error, failed.ended_at) == ("ZeroDivisionError", None)


@pytest.mark.django_db(transaction=True)
class TestRounds:
    """`recorded_round`: jobs of the event loop."""

    @pytest.fixture(autouse=True)
    def unknown(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(periodic, "_recorded_at", {})

    async def test_a_round_is_recorded_once_in_its_interval(self) -> None:
        ran = 0

        async def work() -> None:
            nonlocal ran
            ran += 1

        await recorded_round("send-webhooks", work)
        first = await PeriodicJob.objects.aget(name="send-webhooks")
        assert first.started_at is not None
        assert first.ended_at is not None
        await recorded_round("send-webhooks", work)
        assert ran == 2
        assert (await PeriodicJob.objects.aget(name="send-webhooks")).started_at == first.started_at

    async def test_what_fails_is_recorded_and_raised(self) -> None:
        async def work() -> None:
            raise ValueError("no")

        with pytest.raises(ValueError, match="no"):
            await recorded_round("mail-mentions", work)
        row = await PeriodicJob.objects.aget(name="mail-mentions")
        assert (row.error, row.ended_at) == ("ValueError", None)
