"""Checks of what an installation needs to go on: room on its disks, backups, money."""

from __future__ import annotations

from django.conf import settings

from accounts.lib.formatting import money
from accounts.staff.budgets import LEVELS, read_spending
from config.ops.findings import FAIL, OK, WARN, Found
from config.ops.upkeep import DISK_FAIL, DISK_WARN, read_backup_state, read_disks


def check_disk(_url: str) -> Found:
    """The disks of this machine. That of PostgreSQL is seen by whoever runs it."""
    try:
        disks = read_disks()
    except OSError as error:
        return FAIL, f"The disk cannot be read: {error.strerror}.", "Look at the kernel's log (`journalctl -k`)."
    least = min(one.free for one in disks)
    said = ", ".join(f"{one.free / 2**30:.1f} GB free on the disk of {one.path}" for one in disks) + "."
    level = FAIL if least < DISK_FAIL else WARN if least < DISK_WARN else OK
    advice = "Free disk space, or move the folder (ANTIPHON_VAR); `manage.py purge` deletes expired rows."
    return level, said, "" if level is OK else advice


def check_backup(_url: str) -> Found:
    """When `manage.py backup` last made one, on whichever machine."""
    if not settings.BACKUP_DAYS:
        return OK, "Backups are made by other means (BACKUP_DAYS is 0).", ""
    state = read_backup_state()
    advice = "Run `manage.py backup FOLDER --keep 14` every night; BACKUP_DAYS=0 if something else makes backups."
    if state.error:
        return WARN, f"The last backup failed: {state.error}", advice
    if state.age is None:
        said = "No backup has been made by `manage.py backup`."
        return (WARN, said, advice) if state.is_overdue else (OK, said, "")
    days = state.age / 86_400
    said = f"The last backup is {days:.1f} days old." if days >= 1 else f"The last backup is {days * 24:.0f} h old."
    return (WARN, said, advice) if state.is_overdue else (OK, said, "")


def check_budgets(_url: str) -> Found:
    """What has been spent this month of the budgets, as the job `check-budgets` found last."""
    found = read_spending()
    if not found:
        return OK, "There is no budget.", ""
    high = [one for one in found if one.spent * 100 >= one.amount * LEVELS[1]]
    if not high:
        return OK, f"{len(found)} budget{'' if len(found) == 1 else 's'}, all below {LEVELS[1]} % this month.", ""
    said = ", ".join(f"{one.name} {one.percent} % of {money(one.amount)}" for one in high)
    return (
        WARN,
        f"Spent this month: {said}.",
        "Usage in the admin, by group or model, shows on what. A budget refuses nothing: lower quotas, or raise it.",
    )
