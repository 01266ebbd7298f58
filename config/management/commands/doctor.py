"""`manage.py doctor`: checks everything an installation needs, and says how to fix problems."""

from __future__ import annotations

from config.management.commands import health
from config.ops.diagnosis import CHECKS


class Command(health.Command):
    help = (
        "Checks settings, versions, database, Redis, clock, disk, administrator, the model's endpoint, web, workers, "
        "queue and clean-up, and says what to do about each. Changes nothing. "
        "Exit code 0: all is well, 1: something needs attention, 2: something is broken."
    )
    names = tuple(CHECKS)
    examples = (
        ("doctor", "after installing, after an upgrade, when in doubt"),
        ("doctor --url https://chat.example.org", "with a web process elsewhere"),
        ("doctor --json", "for scripts"),
    )
