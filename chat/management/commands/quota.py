"""`manage.py quota`: shows balances, sets limits, tops up."""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from typing import Any

from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from accounts.audit import record_command
from accounts.models import Plan, Quota, QuotaPeriod, Unit, User
from accounts.quotas import top_ups
from accounts.quotas.balance import shared_balances, user_balances
from chat.management.terminal import show_examples


class Command(BaseCommand):
    help = (
        "Shows and changes quotas. `quota show` prints the numbers of quotas. A change applies at once, to answers "
        "that start from then on. Exit code 0, or 1 if there is no such user, group, plan or quota."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        show = verbs.add_parser("show", help="the balances of a user, or of a group's shared quotas")
        whose = show.add_mutually_exclusive_group(required=True)
        whose.add_argument("email", nargs="?")
        whose.add_argument("--group")
        show.add_argument("--json", action="store_true", help="for scripts: a list, like the protocol's `quota` frame")
        set_ = verbs.add_parser("set", help="sets the limit of a plan, a group or a user")
        owner = set_.add_mutually_exclusive_group(required=True)
        owner.add_argument("--plan")
        owner.add_argument("--group")
        owner.add_argument("--user", metavar="EMAIL")
        set_.add_argument("--unit", choices=Unit.values, required=True)
        set_.add_argument("--period", choices=QuotaPeriod.values, required=True)
        set_.add_argument("--model", default="", help="only for this model")
        set_.add_argument("--soft", action="store_true", help="only warns, never refuses")
        set_.add_argument("--shared", action="store_true", help="for a group: one allowance that all members share")
        set_.add_argument("limit", help='a number, or "none" to remove the quota')
        more = verbs.add_parser("top-up", help="adds to the current period")
        more.add_argument("email", help="for a shared quota: any user who shares it")
        more.add_argument("quota", type=int)
        more.add_argument("amount")
        more.add_argument("--reason", default="")
        again = verbs.add_parser("reset", help="resets a user's usage in the current period")
        again.add_argument("email")
        again.add_argument("quota", type=int, nargs="*", help="default: all of the user's own quotas")

        show_examples(
            parser,
            ("quota show ana@example.org", "what she has left"),
            ("quota set --plan Default --unit messages --period day 50", "50 messages a day for everybody on Default"),
            ("quota set --user ana@example.org --unit money --period month none", "take hers away"),
            ("quota top-up ana@example.org 3 20 --reason exam", "20 more of quota 3, this period"),
            ("quota reset ana@example.org", "as if she had used nothing this period"),
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        try:
            {"show": self.show, "set": self.set, "top-up": self.top_up, "reset": self.reset}[options["verb"]](options)
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from None
        except Quota.DoesNotExist as error:
            raise CommandError(str(error)) from None

    def show(self, options: dict[str, Any]) -> None:
        user = _user(options["email"]) if options.get("email") else None
        found = (
            user_balances(user.pk)
            if user
            else shared_balances(_owner({**options, "user": None, "plan": None})["group"].pk)
        )
        if options.get("json"):
            self.stdout.write(json.dumps([{"quota": balance.quota_id, **balance.frame()} for balance in found]))
            return
        for balance in found:
            frame = balance.frame()
            parts = [
                f"{balance.quota_id:>5}",
                f"{frame['left']} of {frame['limit']} {balance.unit.replace('_', ' ')} left",
                f"({balance.period}{', ' + balance.model if balance.model else ''}{'' if balance.hard else ', soft'})",
                f"shared by {balance.shared_by}" if balance.shared_by else "",
                f"renews {balance.ends_at:%Y-%m-%d %H:%M} UTC" if balance.ends_at else "",
            ]
            self.stdout.write("  ".join(part for part in parts if part))
        if not found:
            self.stdout.write("No quota applies." if user else "This group has no shared quota.")
        elif user and user.is_staff:
            self.stdout.write("Quotas do not apply to staff.")

    def set(self, options: dict[str, Any]) -> None:
        owner = _owner(options)
        kind = {"unit": options["unit"], "period": options["period"], "model": options["model"]}
        if options["shared"] or options["group"]:
            kind["shared"] = options["shared"]
        quota = Quota.objects.filter(**owner, **kind).first()
        if options["limit"] == "none":
            if quota is None:
                raise CommandError("There is no such quota.")
            record_command("delete", quota, details=str(quota), changes={"limit": (str(quota.limit), "")})
            quota.delete()
            self.stdout.write("Removed.")
            return
        before = (str(quota.limit), str(quota.hard)) if quota else ("", "")
        quota = quota or Quota(**owner, **kind)
        quota.limit = _number(options["limit"])
        quota.hard = not options["soft"]
        quota.full_clean()
        with transaction.atomic():
            quota.save()
            changes = {"limit": (before[0], str(quota.limit)), "hard": (before[1], str(quota.hard))}
            record_command("change", quota, details=str(quota), changes=changes)
        self.stdout.write(f"Quota {quota.pk}: {quota}{'' if quota.hard else ', soft'}")

    def top_up(self, options: dict[str, Any]) -> None:
        user = _user(options["email"])
        with transaction.atomic():
            top_ups.top_up(user.pk, options["quota"], _number(options["amount"]), reason=options["reason"])
            record_command("top_up", user, details=options["amount"], reason=options["reason"])
        self.show(options)

    def reset(self, options: dict[str, Any]) -> None:
        user = _user(options["email"])
        record_command("reset", user)
        for quota in options["quota"] or [
            balance.quota_id for balance in user_balances(user.pk) if not balance.shared_by
        ]:
            top_ups.reset(user.pk, quota)
        self.show(options)


def _user(email: str) -> User:
    user = User.objects.filter(email=email.lower()).first()
    if user is None:
        raise CommandError(f"There is no user with the address {email}.")
    return user


def _owner(options: dict[str, Any]) -> dict[str, Any]:
    if options["user"]:
        return {"user": _user(options["user"])}
    model, name = (Plan, options["plan"]) if options["plan"] else (Group, options["group"])
    found = model._default_manager.filter(name=name).first()  # noqa: SLF001  # Django documents it
    if found is None:
        raise CommandError(f"There is no {model.__name__.lower()} named {name!r}.")
    return {model.__name__.lower(): found}


def _number(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise CommandError(f"{text!r} is not a number.") from None
