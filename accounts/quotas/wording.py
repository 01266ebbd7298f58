"""Quotas in words: the one place that names units and periods for people."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

from django.conf import settings
from django.utils.translation import gettext, ngettext, pgettext_lazy
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
    "hour": pgettext_lazy("period of a quota", "this hour"), "day": pgettext_lazy("period of a quota", "today"),
    "week": pgettext_lazy("period of a quota", "this week"), "month": pgettext_lazy("period of a quota", "this month"),
    "fixed": pgettext_lazy("period of a quota", "in total"),
}  # fmt: skip


def quota_name(balance: Balance) -> str:
    """Such as "messages today, gpt-5" or "messages today (shared by Research)"."""
    model = f", {balance.model}" if balance.model else ""
    group = f" (shared by {balance.shared_by})" if balance.shared_by else ""
    return f"{UNITS[balance.unit]} {PERIODS[balance.period]}{model}{group}"


def used_up_message(balance: Balance) -> str:
    """The sentence for a user whose message or recording a quota refuses."""
    values = {"quota": _size(balance), "period": PERIODS[balance.period], "group": balance.shared_by}
    if balance.shared_by:
        # Translators: such as "Research has used up its shared quota of 20 messages today."
        return gettext("%(group)s has used up its shared quota of %(quota)s %(period)s.") % values
    # Translators: such as "You have used up your quota of 20 messages with gpt-5 today."
    return gettext("You have used up your quota of %(quota)s %(period)s.") % values


def input_too_long_message(balance: Balance, needed: int, left: Decimal) -> str:
    """The sentence for a user whose conversation has more input tokens than a quota has left."""
    values = {
        "needed": needed, "left": plain_number(left), "quota": _size(balance), "period": PERIODS[balance.period],
        "group": balance.shared_by,
    }  # fmt: skip
    if balance.shared_by:
        return (
            gettext(
                "This conversation needs about %(needed)s input tokens. Only %(left)s are left of the shared quota of "
                "%(group)s of %(quota)s %(period)s. A new conversation needs fewer."
            )
            % values
        )
    return (
        gettext(
            "This conversation needs about %(needed)s input tokens. Only %(left)s are left of your quota of "
            "%(quota)s %(period)s. A new conversation needs fewer."
        )
        % values
    )


def _size(balance: Balance) -> str:
    """How much a quota allows, such as `20 messages with gpt-5`."""
    limit = balance.limit
    values = {"amount": plain_number(limit), "model": balance.model}
    forms = 1 if limit == 1 else max(2, int(limit))
    match balance.unit:
        case Unit.MESSAGES:
            text = ngettext("%(amount)s message", "%(amount)s messages", forms)
        case Unit.INPUT_TOKENS:
            text = ngettext("%(amount)s input token", "%(amount)s input tokens", forms)
        case Unit.OUTPUT_TOKENS:
            text = ngettext("%(amount)s output token", "%(amount)s output tokens", forms)
        case Unit.AUDIO_SECONDS:
            text = ngettext("%(amount)s second of speech", "%(amount)s seconds of speech", forms)
        case _:
            text = f"%(amount)s {settings.CURRENCY}"
    size = text % values
    return gettext("%(quota)s with %(model)s") % {"quota": size, "model": balance.model} if balance.model else size


def plain_number(amount: Decimal) -> str:
    """The exact amount without trailing zeros or an exponent."""
    return f"{amount.normalize():f}"
