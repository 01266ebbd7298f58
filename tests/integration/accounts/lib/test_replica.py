"""Without a replica, reports read the database that all reads. With one: tests/deployment/test_replica.py."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from accounts.lib import replica
from accounts.lib.replica import Router, reports, reports_database
from accounts.models import DailyUsage


@pytest.mark.django_db
def test_without_a_replica_reports_read_the_database() -> None:
    with reports() as name:
        assert name == "default"
        assert DailyUsage.objects.count() == 0


def test_only_within_reports_is_another_database_read(monkeypatch: pytest.MonkeyPatch) -> None:
    router = Router()
    monkeypatch.setattr(replica, "reports_database", lambda: "replica")
    assert router.db_for_read(DailyUsage) is None
    with reports():
        assert router.db_for_read(DailyUsage) == "replica"
        assert router.db_for_write(DailyUsage) == "default"
    assert router.db_for_read(DailyUsage) is None
    assert not router.allow_migrate("replica", "accounts")


def test_one_that_does_not_answer_is_left_alone_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each report would wait for its connection otherwise."""
    from django.db import OperationalError

    known = SimpleNamespace(DATABASES={"replica": {}}, REPLICA_LAG_SECONDS=10.0)
    monkeypatch.setattr(replica, "settings", known)
    asked = []

    def away() -> float:
        asked.append(1)
        raise OperationalError

    monkeypatch.setattr(replica, "_lag_seconds", away)
    monkeypatch.setattr(replica, "_away_until", 0.0)
    assert [reports_database() for _ in range(3)] == ["default"] * 3
    assert len(asked) == 1
    monkeypatch.setattr(replica, "_away_until", 0.0)
    for lag, wanted in ((0.0, "replica"), (10.0, "replica"), (10.5, "default")):
        monkeypatch.setattr(replica, "_lag_seconds", lambda lag=lag: lag)
        assert reports_database() == wanted
