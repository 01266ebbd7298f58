"""`manage.py health`: checks whether web, workers and queue work right now."""

from __future__ import annotations

import dataclasses
import json
import logging
import sys
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandParser

from chat.management.terminal import show_examples
from config.ops.diagnosis import SERVING, Finding, Level, examine, worst

EXIT: Final = {Level.OK: 0, Level.WARN: 1, Level.FAIL: 2}


class Command(BaseCommand):
    help = (
        "Asks database, Redis, a web process (/readyz), the workers' heartbeats and the queue. "
        "Exit code 0: healthy, 1: something needs attention, 2: not serving."
    )
    requires_system_checks = ()
    names: tuple[str, ...] = SERVING
    examples: tuple[tuple[str, str], ...] = (
        ("health", "of what `manage.py up` runs here"),
        ("health --url https://chat.example.org", "of a web process elsewhere"),
        ("health --json", '{"level": "ok", "findings": […]}; a watchdog needs no more than the exit code'),
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--url", default="", help="of a web process (default: the one `manage.py up` runs)")
        parser.add_argument("--json", action="store_true", help="for scripts: an object with `level` and `findings`")
        show_examples(parser, *self.examples)

    def handle(self, *_args: object, **options: Any) -> None:
        for name in ("psycopg.pool", "workers.providers"):
            logging.getLogger(name).setLevel(logging.ERROR)  # the findings say it, once
        findings = examine(self.names, url=options["url"])
        level = worst(findings)
        if options["json"]:
            shown = {"level": level, "findings": [dataclasses.asdict(finding) for finding in findings]}
            self.stdout.write(json.dumps(shown))
        else:
            self.show(findings)
        self.stdout.flush()
        sys.exit(EXIT[level])

    def show(self, findings: list[Finding]) -> None:
        styles = {Level.OK: self.style.SUCCESS, Level.WARN: self.style.WARNING, Level.FAIL: self.style.ERROR}
        for finding in findings:
            self.stdout.write(f"{styles[finding.level](f'{finding.level:<4}')}  {finding.name:<13} {finding.said}")
            if finding.advice:
                self.stdout.write(f"{'':19} → {finding.advice}")
