"""Of several beat processes one publishes (workers.runtime.scheduler)."""

from __future__ import annotations

from typing import Any

import pytest

from accounts.lib.redis import sync_redis
from config.celery import app
from workers.runtime.scheduler import LEASE, RENEW_SECONDS, LeasedScheduler, beat_owner


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
