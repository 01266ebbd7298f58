"""`manage.py erase_user`: a person and their words, gone."""

from __future__ import annotations

import dataclasses
import json
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import User
from chat.dossier import LastAdministratorError, erase


class Command(BaseCommand):
    help = (
        "Deletes an account for good: conversations that are this person's alone, their words in shared ones (which "
        "stay, with another owner if need be), recordings, sessions; open sockets close. Audit entries stay, since "
        "nothing may delete them. Asks first. See --dry-run, and `export_user` before."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--dry-run", action="store_true", help="only say what would be done")
        parser.add_argument("--yes", action="store_true", help="do not ask")
        parser.add_argument("--json", action="store_true", help="the report as JSON")

    def handle(self, *_args: object, **options: Any) -> None:
        user = User.objects.filter(email__iexact=options["email"]).first()
        if user is None:
            raise CommandError("There is no account with this address.")
        if not (options["dry_run"] or options["yes"]):
            if not sys.stdin.isatty():
                raise CommandError("Nobody is there to be asked: --yes does it, --dry-run shows it.")
            if input(f"Erase {user.email} for good? Type the address again: ") != user.email:
                raise CommandError("Nothing was erased.")
        try:
            report = dataclasses.asdict(erase(user, dry_run=options["dry_run"]))
        except LastAdministratorError:
            raise CommandError("This is the last administrator: make another first (`createsuperuser`).") from None
        if options["json"]:
            self.stdout.write(json.dumps(report))
            return
        self.stdout.write("Would be erased:" if options["dry_run"] else "Erased.")
        for name, number in report.items():
            self.stdout.write(f"  {number:>6}  {name.replace('_', ' ')}")
