"""`manage.py users`: lists accounts, and what an operator does for one of them."""

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
from chat.management import accounts
from chat.management.terminal import confirm, show_examples


class Command(BaseCommand):
    help = (
        "Lists accounts and changes them one by one: create, disable, enable, plan, promote, demote. "
        "`reset-second-factor` removes authenticator app, passkeys and recovery codes and ends "
        "all sessions; the owner gets a mail. `confirm-email` marks an address as confirmed, so that single sign-on "
        "may connect the account. Each change is in the audit log with the user of the operating system. "
        "Exit code 0, or 1 with nothing done: no such account, no second factor, or not confirmed."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        listed = verbs.add_parser("list", help="accounts, the newest first")
        listed.add_argument("--search", default="", metavar="WORDS", help="beginnings of words of name or address")
        listed.add_argument("--plan", default="", help="only those of this plan")
        listed.add_argument("--group", default="", help="only members of this group or role")
        listed.add_argument("--staff", action="store_true", help="only staff")
        listed.add_argument("--disabled", action="store_true", help="only those that cannot log in")
        listed.add_argument("--limit", type=int, default=100, help="how many at most (default: 100)")
        listed.add_argument("--json", action="store_true", help="for scripts: a list of objects")
        create = _verb(verbs, "create", "an account with a confirmed address; prints its password once")
        create.add_argument("--name", default="")
        create.add_argument("--plan", default="")
        create.add_argument("--password-stdin", action="store_true", help="read the password from standard input")
        disable = _verb(verbs, "disable", "ends all sessions; nobody can log in with it")
        disable.add_argument("--reason", required=True, help="for the audit log")
        _verb(verbs, "enable", "lets it in again, or in the first time where it waits for approval")
        plan = _verb(verbs, "plan", "gives the account a plan")
        plan.add_argument("plan", help='the plan\'s name, or "none" for the default one')
        promote = _verb(verbs, "promote", "makes the account staff")
        rights = promote.add_mutually_exclusive_group(required=True)
        rights.add_argument("--role", help="support, moderator, billing, administrator, or a group of yours")
        rights.add_argument("--superuser", action="store_true", help="may do everything, also make superusers")
        _verb(verbs, "demote", "takes all rights of staff away")
        reset = _verb(verbs, "reset-second-factor", "when somebody has lost phone, passkey and codes")
        reset.add_argument("--yes", action="store_true", help="do not ask")
        _verb(verbs, "confirm-email", "marks the account's address as confirmed")
        show_examples(
            parser,
            ("users list --search ana", "who that is, their plan, and when they were seen last"),
            ("users list --staff --json", "for scripts"),
            ("users create ana@example.org --name Ana --plan Default", "prints a password once"),
            ("users disable ana@example.org --reason 'left the company'", "at once, everywhere"),
            ("users promote ana@example.org --role support", "staff with this role"),
            ("users reset-second-factor ana@example.org", "asks first; ask yourself who is asking you"),
            ("users reset-second-factor ana@example.org --yes", "from a script"),
            ("users confirm-email ana@example.org", "you know that the address is theirs"),
        )

    def handle(self, *_args: object, **options: Any) -> None:
        if options["verb"] == "list":
            self._list(options)
            return
        if options["verb"] == "create":
            self._create(options)
            return
        user = accounts.find_user(options["email"])
        done, said = self._change(user, options)
        self.stdout.write(json.dumps({"email": user.email, "done": done}) if options["json"] else said)

    def _list(self, options: dict[str, Any]) -> None:
        rows = [accounts.as_facts(user) for user in accounts.chosen_users(options)]
        if options["json"]:
            self.stdout.write(json.dumps(rows, ensure_ascii=False))
            return
        for row in rows:
            rights = "superuser" if row["superuser"] else "staff" if row["staff"] else ""
            seen = f"seen {row['last_seen'][:16].replace('T', ' ')}" if row["last_seen"] else "never seen"
            parts = (
                row["email"],
                row["name"],
                row["state"],
                row["plan"] or "default plan",
                rights,
                *row["groups"],
                seen,
            )
            self.stdout.write("  ".join(part for part in parts if part))
        if not rows:
            self.stdout.write("No account fits.")
        elif len(rows) == options["limit"]:
            self.stdout.write(f"The newest {len(rows)}; --limit shows more.")

    def _create(self, options: dict[str, Any]) -> None:
        plan = accounts.find_plan(options["plan"]) if options["plan"] else None
        given = sys.stdin.readline().rstrip("\n") if options["password_stdin"] else None
        user, password = accounts.create_user(options["email"], name=options["name"], plan=plan, password=given)
        if options["json"]:
            shown = {} if given else {"password": password}
            self.stdout.write(json.dumps({"email": user.email, "done": True, **shown}))
            return
        note = "" if given else f"   password: {password}   (shown this once)"
        self.stdout.write(f"{user.email}{note}")

    def _change(self, user: User, options: dict[str, Any]) -> tuple[bool, str]:
        """Whether something changed, and a sentence about it."""
        match options["verb"]:
            case "disable":
                accounts.disable_user(user, options["reason"])
                return True, "Disabled. All sessions have ended."
            case "enable":
                accounts.enable_user(user)
                return True, "Enabled."
            case "plan":
                plan = None if options["plan"] == "none" else accounts.find_plan(options["plan"])
                done = accounts.set_plan(user, plan)
                return done, f"Plan: {plan or 'the default one'}." if done else "It had this plan already."
            case "promote":
                role = None if options["superuser"] else accounts.find_group(options["role"])
                accounts.promote(user, role)
                return True, f"{user.email} is staff now: {role or 'superuser'}."
            case "demote":
                accounts.demote(user)
                return True, f"{user.email} is an ordinary user now."
            case "confirm-email":
                done = _confirm(user)
                return done, "Confirmed." if done else "It was confirmed already."
        if not options["yes"]:
            confirm(
                f"Reset the second factor of {user.email}? Type the address again:", user.email,
                refused="Nothing was done.", otherwise="--yes does not ask.",
            )  # fmt: skip
        if not _reset(user):
            raise CommandError("This account has no second factor.")
        return True, f"Reset. All sessions have ended; the next log-in needs the password alone. {_mail(user)}"


def _verb(verbs: Any, name: str, purpose: str) -> Any:
    """The parser of a verb about one account."""
    parser = verbs.add_parser(name, help=purpose)
    parser.add_argument("email")
    parser.add_argument("--json", action="store_true", help="the result as JSON")
    return parser


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
