"""What an installation needs to go on: room on its disks, and backups. For `doctor`, the dashboard and `/metrics`.

`manage.py backup` records itself among the periodic jobs, so that every process knows of it, wherever it ran.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import django.db
from django.conf import settings
from django.core.files.storage import default_storage
from django.db.models import F
from django.db.models.functions import Now

from accounts.lib.outage import OUTAGE
from chat.models import PeriodicJob

BACKUP: Final = "backup"  # its name among the periodic jobs
DISK_WARN, DISK_FAIL = 2 * 2**30, 200 * 2**20  # free bytes; alerts have the same


@dataclass(frozen=True, slots=True)
class Disk:
    """The file system of a folder of ours: `var`, or `files` for what users stored. In bytes."""

    name: str
    path: Path
    free: int
    size: int


def read_disks() -> list[Disk]:
    """The file systems that this process writes to, each once. Files in a bucket have none."""
    places = [("var", settings.VAR_DIR if settings.VAR_DIR.exists() else settings.BASE_DIR)]
    if not settings.FILES_IN_S3:
        files = Path(str(default_storage.location))  # type: ignore[attr-defined]  # of a storage in the file system
        if files.exists():
            places.append(("files", files))
    found, seen = [], set[int]()
    for name, path in places:
        device = path.stat().st_dev
        if device not in seen:
            usage = shutil.disk_usage(path)
            found.append(Disk(name, path, usage.free, usage.total))
            seen.add(device)
    return found


@dataclass(frozen=True, slots=True)
class BackupState:
    """`age`: seconds since the last backup that was made, None before the first. `error`: why the last one failed."""

    age: float | None
    error: str

    @property
    def is_overdue(self) -> bool:
        """Whether there should be a newer one. A site of this machine only may do without."""
        if not settings.BACKUP_DAYS or (self.age is None and settings.LOOPBACK_ONLY):
            return False
        return self.age is None or self.age > settings.BACKUP_DAYS * 86_400


def read_backup_state() -> BackupState:
    """Raises a database error."""
    row = PeriodicJob.objects.filter(name=BACKUP).values("error", age=Now() - F("ended_at")).first()
    if row is None:
        return BackupState(None, "")
    return BackupState(None if row["age"] is None else row["age"].total_seconds(), row["error"])


def record_backup(began: float, report: dict[str, Any], error: str = "") -> str:
    """Records a backup that was begun at `began` (`time.monotonic`). Returns why it could not, or nothing: a backup is
    worth no less if the database takes no writes.
    """
    facts: dict[str, Any] = {"error": error[:200], "seconds": round(time.monotonic() - began, 2)}
    if not error:
        facts |= {"ended_at": Now(), "report": report}
    try:
        PeriodicJob.objects.update_or_create(name=BACKUP, defaults=facts)
    except (django.db.Error, *OUTAGE) as failed:  # also: not migrated yet
        return type(failed).__name__
    return ""
