"""`manage.py erase_user`: disables a user and erases everything stored about them."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from accounts import erasure
from accounts.audit import record_command
from accounts.models import User
from chat.management.accounts import find_user
from chat.management.terminal import add_deletion_options, confirm, show_examples
from chat.retention.erasure import erase, survey


class Command(BaseCommand):
    help = (
        "Disables an account and erases it after ERASE_GRACE_DAYS: conversations that only this user is a member of, "
        "their messages in shared ones (which stay, with a new owner if needed), recordings, sessions. Open sockets "
        "close at once. Until then --undo cancels it; --now does not wait. Audit entries and the usage ledger stay, "
        "because they are append-only. Asks for confirmation. See --dry-run, and run `export_user` first. "
        "Exit code 0, or 1 with nothing done: no such user, the last administrator, or not confirmed."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--now", action="store_true", help="permanently, without a grace period")
        parser.add_argument("--undo", action="store_true", help="cancel a scheduled erasure")
        parser.add_argument("--reason", default="", help="why, for the audit log")
        add_deletion_options(parser, asks=True)
        show_examples(
            parser,
            ("erase_user ana@example.org --dry-run", "what would be deleted"),
            ("erase_user ana@example.org", "disabled now, erased after the grace period; asks first"),
            ("erase_user ana@example.org --undo", "cancel it within the grace period"),
            ("erase_user ana@example.org --now --yes", "at once, from a script"),
        )

    def handle(self, *_args: object, **options: Any) -> None:
        user = find_user(options["email"])
        if options["undo"]:
            if not erasure.cancel(user):
                raise CommandError("This account is not scheduled for erasure.")
            record_command("keep", user, details="erase_user --undo")
            self.stdout.write("Cancelled. The account is as it was before.")
            return
        now = options["now"] or settings.ERASE_GRACE_DAYS == 0
        if not (options["dry_run"] or options["yes"]):
            when = "permanently" if now else f"in {settings.ERASE_GRACE_DAYS} days"
            confirm(
                f"Erase {user.email} {when}? Type the address again:", user.email,
                refused="Nothing was erased.", otherwise="--yes erases, --dry-run shows what would be deleted.",
            )  # fmt: skip
        try:
            report = self._do(user, now=now, dry_run=options["dry_run"], reason=options["reason"])
        except erasure.LastAdministratorError:
            raise CommandError("This is the last administrator: create another first (`createsuperuser`).") from None
        if options["json"]:
            self.stdout.write(json.dumps(report))
            return
        if options["dry_run"]:
            self.stdout.write("Would be erased:")
        elif now:
            self.stdout.write("Erased.")
        else:
            self.stdout.write(f"Disabled; will be erased after {report.pop('erase_at')} unless cancelled with --undo:")
        for name, number in report.items():
            self.stdout.write(f"  {number:>6}  {name.replace('_', ' ')}")

    def _do(self, user: User, *, now: bool, dry_run: bool, reason: str) -> dict[str, Any]:
        if dry_run:
            return dataclasses.asdict(survey(user))
        with transaction.atomic():  # the entry is there if it was done
            record_command("erase", user, details="at once" if now else "after the grace period", reason=reason)
            if now:
                return dataclasses.asdict(erase(user))
            report = dataclasses.asdict(survey(user))
            return {**report, "erase_at": f"{erasure.schedule(user):%Y-%m-%d %H:%M} UTC"}
