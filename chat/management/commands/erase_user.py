"""`manage.py erase_user`: a person and their words, gone."""

from __future__ import annotations

import dataclasses
import json
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts import erasure
from accounts.models import User
from chat.management.terminal import show_examples
from chat.retention.erasure import erase, survey


class Command(BaseCommand):
    help = (
        "Switches an account off and has it erased after ERASE_GRACE_DAYS: conversations that are this person's alone, "
        "their words in shared ones (which stay, with another owner if need be), recordings, sessions; open sockets "
        "close at once. Until then --undo calls it off; --now does not wait. Audit entries and the usage ledger stay, "
        "since nothing may change them. Asks first. See --dry-run, and `export_user` before. "
        "Ends with 0, or with 1 and nothing done: no such person, the last administrator, or the question not answered."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--now", action="store_true", help="for good, without a grace")
        parser.add_argument("--undo", action="store_true", help="call a scheduled erasure off")
        parser.add_argument("--dry-run", action="store_true", help="only say what would be done")
        parser.add_argument("--yes", action="store_true", help="do not ask")
        parser.add_argument("--json", action="store_true", help="the report as JSON")
        show_examples(
            parser,
            ("erase_user ana@example.org --dry-run", "what would go"),
            ("erase_user ana@example.org", "off now, erased when the grace is over; asks first"),
            ("erase_user ana@example.org --undo", "she changed her mind"),
            ("erase_user ana@example.org --now --yes", "at once, from a script"),
        )

    def handle(self, *_args: object, **options: Any) -> None:
        user = User.objects.filter(email__iexact=options["email"]).first()
        if user is None:
            raise CommandError("There is no account with this address.")
        if options["undo"]:
            if not erasure.cancel(user):
                raise CommandError("This account is not to be erased.")
            self.stdout.write("Called off. The account is as it was.")
            return
        now = options["now"] or settings.ERASE_GRACE_DAYS == 0
        if not (options["dry_run"] or options["yes"]):
            _ask(user, "for good" if now else f"in {settings.ERASE_GRACE_DAYS} days")
        try:
            report = self._do(user, now=now, dry_run=options["dry_run"])
        except erasure.LastAdministratorError:
            raise CommandError("This is the last administrator: make another first (`createsuperuser`).") from None
        if options["json"]:
            self.stdout.write(json.dumps(report))
            return
        if options["dry_run"]:
            self.stdout.write("Would be erased:")
        elif now:
            self.stdout.write("Erased.")
        else:
            self.stdout.write(f"Switched off, and erased from {report.pop('erase_at')} on, unless --undo comes before:")
        for name, number in report.items():
            self.stdout.write(f"  {number:>6}  {name.replace('_', ' ')}")

    def _do(self, user: User, *, now: bool, dry_run: bool) -> dict[str, Any]:
        if dry_run:
            return dataclasses.asdict(survey(user))
        if now:
            return dataclasses.asdict(erase(user))
        report = dataclasses.asdict(survey(user))
        return {**report, "erase_at": f"{erasure.schedule(user):%Y-%m-%d %H:%M} UTC"}


def _ask(user: User, when: str) -> None:
    if not sys.stdin.isatty():
        raise CommandError("Nobody is there to be asked: --yes does it, --dry-run shows it.")
    if input(f"Erase {user.email} {when}? Type the address again: ") != user.email:
        raise CommandError("Nothing was erased.")
