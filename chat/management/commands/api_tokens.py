"""`manage.py api_tokens`: lists and revokes tokens of the API. They are created in the page only."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.audit import record_command
from accounts.auth.api_tokens import describe_token, revoke_tokens
from accounts.models import ApiToken, User
from chat.management.terminal import show_examples


class Command(BaseCommand):
    help = (
        "Lists API tokens, or revokes them, which ends what is open with them. Users create tokens in their settings. "
        "Exit code 0, or 1 if there is no such user or token."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("verb", choices=("list", "revoke"))
        parser.add_argument("prefix", nargs="?", help="of the token, as lists show it")
        parser.add_argument("--user", metavar="EMAIL", help="only of this user")
        parser.add_argument("--json", action="store_true", help="for scripts")
        show_examples(
            parser,
            ("api_tokens list", "all tokens, the newest first"),
            ("api_tokens list --user ana@example.org --json", "one person's, for scripts"),
            ("api_tokens revoke 3f9c2a7b10de", "one token"),
            ("api_tokens revoke --user ana@example.org", "all tokens of one person"),
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        rows = ApiToken.objects.select_related("user").order_by("-pk")
        if options["user"]:
            user = User.objects.filter(email=options["user"].lower()).first()
            if user is None:
                raise CommandError(f"There is no user with the address {options['user']}.")
            rows = rows.filter(user=user)
        if options["prefix"]:
            rows = rows.filter(prefix=options["prefix"].removeprefix("ant_"))
            if not rows.exists():
                raise CommandError(f"There is no token {options['prefix']}.")
        if options["verb"] == "revoke":
            if not options["prefix"] and not options["user"]:
                raise CommandError("Name a token, or a user with --user.")
            owners = set(rows.values_list("user", flat=True))
            record_command("revoke", ApiToken, details=options["prefix"] or options["user"], subjects=owners)
            done = revoke_tokens(ApiToken.objects.filter(pk__in=rows.values("pk")))
            self.stdout.write(json.dumps({"revoked": done}) if options["json"] else f"{done} revoked")
            return
        self._list([{"user": row.user.email, **describe_token(row)} for row in rows], as_json=options["json"])

    def _list(self, rows: list[dict[str, Any]], *, as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps(rows))
            return
        for row in rows:
            used = row["last_used_at"] or "never used"
            self.stdout.write(f"{row['prefix']}  {row['state']:8}  {used:32}  {row['user']}  {row['name']}")
