"""`manage.py check_deploy`: checks all processes and servers of a site together, from one of its machines."""

from __future__ import annotations

from config.management.commands import health
from config.ops.diagnosis import DEPLOYED


class Command(health.Command):
    help = (
        "Checks a running site from the inside: versions, settings and clocks of all processes, migrations, every "
        "Redis, the queues and who serves them, beat, database connections. Changes nothing and shows no secrets. "
        "Exit code 0: all is well, 1: something needs attention, 2: something is broken."
    )
    names = DEPLOYED
    examples = (
        ("check_deploy", "after a deploy, on any machine, with the environment of the processes"),
        ("check_deploy --json", "for scripts"),
    )
