"""`manage.py merge_users`: merges two accounts of one person."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from accounts.audit import record_command
from accounts.merging import VERB, MergeRefusedError, check_mergeable
from accounts.models import User
from chat.management.accounts import find_user
from chat.management.terminal import add_deletion_options, confirm, show_examples
from chat.retention.merging import merge, report


class Command(BaseCommand):
    help = (
        "Merges two accounts of a person who signed up twice. Conversations, memberships, files, folders, collections, "
        "API tokens, addresses, log-ins, usage and top-ups of MERGED go to KEPT, and MERGED is deleted; its sockets "
        "close at once. Name, plan, password, second factor and quotas are those of KEPT, and its quotas count the "
        "usage of both. The audit log shows entries about either under KEPT. All in one transaction, which cannot be "
        "undone. Asks for confirmation. See --dry-run. Exit code 0, or 1 with nothing done: no such account, the same "
        "one twice, staff, an erasure or an answer under way, an account of SCIM, or not confirmed."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("merged", metavar="MERGED", help="address of the account that ends")
        parser.add_argument("kept", metavar="KEPT", help="address of the account that stays")
        parser.add_argument("--reason", default="", help="why, for the audit log; needed unless --dry-run")
        add_deletion_options(parser, asks=True)
        show_examples(
            parser,
            ("merge_users ana@old.example ana@example.org --dry-run", "what would move, and what would be deleted"),
            ('merge_users ana@old.example ana@example.org --reason "ticket 4711"', "asks first"),
        )

    def handle(self, *_args: object, **options: Any) -> None:
        merged, kept = find_user(options["merged"]), find_user(options["kept"])
        try:
            check_mergeable(merged, kept)
            if options["dry_run"]:
                found = report(merged, kept)
            else:
                found = self._merge(merged, kept, options["reason"], sure=options["yes"])
        except MergeRefusedError as error:
            raise CommandError(str(error)) from None
        if options["json"]:
            self.stdout.write(json.dumps(found))
            return
        self.stdout.write("Would be done:" if options["dry_run"] else f"Merged into {kept.email}.")
        for name, number in found.items():
            self.stdout.write(f"  {number:>6}  {name.replace('_', ' ')}")

    def _merge(self, merged: User, kept: User, reason: str, *, sure: bool) -> dict[str, int]:
        if not reason:
            raise CommandError("Nothing was merged: --reason says why, for the audit log.")
        if not sure:
            confirm(
                f"Merge {merged.email} into {kept.email}? Type the address that ends again:", merged.email,
                refused="Nothing was merged.", otherwise="--yes merges, --dry-run shows what would be done.",
            )  # fmt: skip
        with transaction.atomic():  # the entry is there if it was done
            changes, people = {"account": (merged.email, kept.email)}, [kept.pk, merged.pk]
            record_command(VERB, kept, reason=reason, changes=changes, subjects=people)
            return merge(merged, kept)
