"""Quotas in words: the one place that names units and periods for people."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _

from accounts.models import Unit
from accounts.quotas.balance import Balance

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

UNITS: Final[dict[str, StrOrPromise]] = {
    Unit.MESSAGES.value: _("messages"),
    Unit.INPUT_TOKENS.value: _("input tokens"),
    Unit.OUTPUT_TOKENS.value: _("output tokens"),
    Unit.MONEY.value: settings.CURRENCY,
    Unit.AUDIO_SECONDS.value: _("seconds of speech"),
}
PERIODS: Final[dict[str, StrOrPromise]] = {
    "hour": _("this hour"), "day": _("today"), "week": _("this week"), "month": _("this month"), "fixed": _("in total"),
}  # fmt: skip


def quota_name(balance: Balance) -> str:
    """Such as "messages today, gpt-5" or "messages today (shared by Research)"."""
    model = f", {balance.model}" if balance.model else ""
    group = f" (shared by {balance.shared_by})" if balance.shared_by else ""
    return f"{UNITS[balance.unit]} {PERIODS[balance.period]}{model}{group}"


def used_up_message(balance: Balance) -> str:
    """The sentence for a user whose message or recording a quota refuses."""
    unit = "message" if balance.unit == Unit.MESSAGES and balance.limit == 1 else UNITS[balance.unit]
    quota = f"{plain_number(balance.limit)} {unit}" + (f" with {balance.model}" if balance.model else "")
    who = f"{balance.shared_by} has used up its shared quota" if balance.shared_by else "You have used up your quota"
    return f"{who} of {quota} {PERIODS[balance.period]}."


def input_too_long_message(balance: Balance, needed: int, left: Decimal) -> str:
    """The sentence for a user whose conversation has more input tokens than a quota has left."""
    owner = f"the shared quota of {balance.shared_by}" if balance.shared_by else "your quota"
    quota = f"{plain_number(balance.limit)} {UNITS[balance.unit]}" + (f" with {balance.model}" if balance.model else "")
    return _(
        "This conversation needs about %(needed)s input tokens. Only %(plain_number)s are "
        "left of %(owner)s of %(quota)s %(periods)s. A new conversation needs fewer."
    ) % {
        "needed": needed,
        "plain_number": plain_number(left),
        "owner": owner,
        "quota": quota,
        "periods": PERIODS[balance.period],
    }


def plain_number(amount: Decimal) -> str:
    """The exact amount without trailing zeros or an exponent."""
    return f"{amount.normalize():f}"
