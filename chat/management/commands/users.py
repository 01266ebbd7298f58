"""`manage.py users`: what an operator does for one account: reset the second factor, confirm an address."""

from __future__ import annotations

import json
import smtplib
import sys
from typing import Any

from allauth.account.adapter import get_adapter
from allauth.account.models import EmailAddress
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from accounts.audit import record_command
from accounts.auth.adapter import listed_origin, mail_is_configured
from accounts.auth.second_factor.reset import reset_second_factor
from accounts.models import User
from chat.management.terminal import show_examples


class Command(BaseCommand):
    help = (
        "Accounts, one by one. `reset-second-factor` removes authenticator app, passkeys and recovery codes and ends "
        "all sessions; the owner gets a mail. `confirm-email` marks an address as confirmed, so that single sign-on "
        "may connect the account. "
        "Exit code 0, or 1 with nothing done: no such account, no second factor, or not confirmed."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        reset = verbs.add_parser("reset-second-factor", help="when somebody has lost phone, passkey and codes")
        reset.add_argument("email")
        reset.add_argument("--yes", action="store_true", help="do not ask")
        reset.add_argument("--json", action="store_true", help="the result as JSON")
        confirm = verbs.add_parser("confirm-email", help="marks the account's address as confirmed")
        confirm.add_argument("email")
        confirm.add_argument("--json", action="store_true", help="the result as JSON")
        show_examples(
            parser,
            ("users reset-second-factor ana@example.org", "asks first; ask yourself who is asking you"),
            ("users reset-second-factor ana@example.org --yes", "from a script"),
            ("users confirm-email ana@example.org", "you know that the address is theirs"),
        )

    def handle(self, *_args: object, **options: Any) -> None:
        user = User.objects.filter(email__iexact=options["email"]).first()
        if user is None:
            raise CommandError("There is no account with this address.")
        if options["verb"] == "confirm-email":
            done = _confirm(user)
            said = "Confirmed." if done else "It was confirmed already."
        else:
            if not options["yes"]:
                _ask(user)
            done = _reset(user) > 0
            if not done:
                raise CommandError("This account has no second factor.")
            said = f"Reset. All sessions have ended; the next log-in needs the password alone. {_mail(user)}"
        self.stdout.write(json.dumps({"email": user.email, "done": bool(done)}) if options["json"] else said)


def _reset(user: User) -> int:
    with transaction.atomic():
        count = reset_second_factor(user)
        if count:
            _audit(user, "reset_second_factor")
    return count


def _mail(user: User) -> str:
    """Mails the owner, and says whether that worked. It is done in any case."""
    if not mail_is_configured():
        return "No mail was sent, because EMAIL_HOST is not set: tell the owner."
    context = {"site_name": settings.SITE_NAME, "site_url": listed_origin()}
    try:
        get_adapter().render_mail("account/email/second_factor_reset", user.email, context).send()
    except (smtplib.SMTPException, OSError) as error:
        return f"The mail to the owner failed ({type(error).__name__}): tell them."
    return "The owner gets a mail."


def _confirm(user: User) -> bool:
    with transaction.atomic():
        row, _made = EmailAddress.objects.get_or_create(user=user, email=user.email, defaults={"primary": True})
        if row.verified:
            return False
        row.verified = True
        row.save(update_fields=["verified"])
        _audit(user, "confirm_email")
    return True


def _audit(user: User, verb: str) -> None:
    record_command(verb, user, details="by command")


def _ask(user: User) -> None:
    if not sys.stdin.isatty():
        raise CommandError("No terminal to ask for confirmation: --yes does not ask.")
    if input(f"Reset the second factor of {user.email}? Type the address again: ") != user.email:
        raise CommandError("Nothing was done.")
