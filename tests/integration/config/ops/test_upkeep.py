"""Disks, backups and budgets: the same words from `doctor`, the dashboard and the metrics."""

from __future__ import annotations

import shutil
import time
from collections import namedtuple
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db.models import F
from pytest_django.fixtures import Settings

from accounts.models import Budget
from accounts.staff.budgets import check_budgets
from chat.models import PeriodicJob
from config.ops import upkeep
from config.ops.diagnosis import Level, examine
from config.staff.dashboard import CHECKS
from config.web.upkeep_gauges import disk_gauges, upkeep_gauges

pytestmark = pytest.mark.django_db
Usage = namedtuple("Usage", "total used free")
GB = 2**30


def finding(name: str) -> tuple[Level, str, str]:
    [one] = examine([name])
    return one.level, one.said, one.advice


def test_the_dashboard_asks_for_them() -> None:
    assert {"disk", "backup", "budgets"} <= set(CHECKS)


@pytest.mark.parametrize(
    ("free", "level"), [(3 * GB, Level.OK), (GB, Level.WARN), (100 * 2**20, Level.FAIL)], ids=["room", "low", "full"]
)
def test_disks(free: int, level: Level, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: Usage(10 * GB, 10 * GB - free, free))
    found, said, advice = finding("disk")
    assert found is level
    assert f"{free / GB:.1f} GB free on the disk of" in said
    assert bool(advice) == (level is not Level.OK)
    assert disk_gauges()["disk_free_bytes"] == {"var": float(free)}, "files are on the same disk"


def test_a_disk_that_cannot_be_read_is_not_exported(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_path: Path) -> Usage:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(shutil, "disk_usage", fail)
    assert disk_gauges() == {}
    assert finding("disk")[0] is Level.FAIL


class TestBackup:
    def test_a_site_for_others_needs_one(self, settings: Settings) -> None:
        settings.LOOPBACK_ONLY = False
        assert finding("backup")[:2] == (Level.WARN, "No backup has been made by `manage.py backup`.")
        assert upkeep_gauges()["backup_overdue"] == 1.0
        assert "backup_age_seconds" not in upkeep_gauges()
        settings.LOOPBACK_ONLY = True
        assert finding("backup")[0] is Level.OK
        assert upkeep_gauges()["backup_overdue"] == 0.0

    def test_its_age_counts(self, settings: Settings) -> None:
        assert upkeep.record_backup(time.monotonic(), {"file": "a.dump", "bytes": 1, "stored": None}) == ""
        assert finding("backup")[:2] == (Level.OK, "The last backup is 0 h old.")
        PeriodicJob.objects.update(ended_at=F("ended_at") - timedelta(days=3))
        assert finding("backup")[:2] == (Level.WARN, "The last backup is 3.0 days old.")
        gauges = upkeep_gauges()
        assert gauges["backup_overdue"] == 1.0
        assert gauges["backup_age_seconds"] == pytest.approx(3 * 86_400, abs=60)
        settings.BACKUP_DAYS = 0
        assert finding("backup")[0] is Level.OK
        assert upkeep_gauges()["backup_overdue"] == 0.0

    def test_one_that_failed_is_said_until_the_next(self, tmp_path: Path) -> None:
        upkeep.record_backup(time.monotonic(), {"file": "a.dump", "bytes": 1, "stored": None})
        there = tmp_path / "b.dump"
        there.write_bytes(b"")
        with pytest.raises(CommandError):
            call_command("backup", str(there))
        level, said, advice = finding("backup")
        assert (level, "is there already" in said, "BACKUP_DAYS=0" in advice) == (Level.WARN, True, True)
        assert upkeep_gauges()["backup_overdue"] == 1.0
        upkeep.record_backup(time.monotonic(), {"file": "c.dump", "bytes": 1, "stored": None})
        assert finding("backup")[0] is Level.OK


class TestBudgets:
    @pytest.fixture
    def budget(self) -> Budget:
        return Budget.objects.create(name="Team A", amount=100, recipients="a@example.org")

    def test_they_are_known_without_a_mail_server(self, budget: Budget, settings: Settings) -> None:
        settings.EMAIL_URL = ""
        assert finding("budgets")[:2] == (Level.OK, "There is no budget.")
        check_budgets()
        assert finding("budgets")[:2] == (Level.OK, "1 budget, all below 80 % this month.")
        assert upkeep_gauges()["budget_amount"] == {"Team A": 100.0}

    def test_from_80_percent_on_it_is_a_problem(self, budget: Budget) -> None:
        Budget.objects.update(spent_amount=85, spent_at=datetime.now(UTC))
        level, said, advice = finding("budgets")
        assert level is Level.WARN
        assert said.startswith("Spent this month: Team A 85 % of ")
        assert "Usage in the admin" in advice
        assert upkeep_gauges()["budget_spent"] == {"Team A": 85.0}

    def test_those_of_last_month_and_disabled_ones_are_not_counted(self, budget: Budget) -> None:
        Budget.objects.update(spent_amount=85, spent_at=datetime.now(UTC) - timedelta(days=32))
        assert upkeep_gauges()["budget_spent"] == {}
        Budget.objects.update(spent_at=datetime.now(UTC), enabled=False)
        assert finding("budgets")[0] is Level.OK
