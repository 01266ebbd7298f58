"""Quotas in words: the one place that names units and periods for people."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

from django.conf import settings
from django.utils.formats import number_format
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
    """A label such as "messages · today · gpt-5" or "messages · today · shared by Research"."""
    shared = gettext("shared by %(group)s") % {"group": balance.shared_by} if balance.shared_by else ""
    return " · ".join(filter(None, (str(UNITS[balance.unit]), str(PERIODS[balance.period]), balance.model, shared)))


def left_sentence(balance: Balance) -> str:
    """What is left, such as "3 of 20 messages with gpt-5 left today." Kept level with js/conversation/allowance.js."""
    limit, is_money = balance.limit, balance.unit == Unit.MONEY
    forms = 1 if limit == 1 else max(2, int(limit))
    values = {
        "left": _amount(balance.remaining, is_money=is_money), "limit": _amount(limit, is_money=is_money),
        "model": balance.model, "period": PERIODS[balance.period],
    }  # fmt: skip
    return (_left_with(balance.unit, forms) if balance.model else _left(balance.unit, forms)) % values


def _left(unit: str, forms: int) -> str:
    match unit:
        case Unit.MESSAGES:
            return ngettext(
                "%(left)s of %(limit)s message left %(period)s.",
                "%(left)s of %(limit)s messages left %(period)s.",
                forms,
            )
        case Unit.INPUT_TOKENS:
            return ngettext(
                "%(left)s of %(limit)s input token left %(period)s.",
                "%(left)s of %(limit)s input tokens left %(period)s.", forms,
            )  # fmt: skip
        case Unit.OUTPUT_TOKENS:
            return ngettext(
                "%(left)s of %(limit)s output token left %(period)s.",
                "%(left)s of %(limit)s output tokens left %(period)s.", forms,
            )  # fmt: skip
        case Unit.AUDIO_SECONDS:
            return ngettext(
                "%(left)s of %(limit)s second of speech left %(period)s.",
                "%(left)s of %(limit)s seconds of speech left %(period)s.", forms,
            )  # fmt: skip
    return gettext("%(left)s of %(limit)s left to spend %(period)s.")


def _left_with(unit: str, forms: int) -> str:
    """The same of a quota for one model."""
    match unit:
        case Unit.MESSAGES:
            return ngettext(
                "%(left)s of %(limit)s message with %(model)s left %(period)s.",
                "%(left)s of %(limit)s messages with %(model)s left %(period)s.", forms,
            )  # fmt: skip
        case Unit.INPUT_TOKENS:
            return ngettext(
                "%(left)s of %(limit)s input token with %(model)s left %(period)s.",
                "%(left)s of %(limit)s input tokens with %(model)s left %(period)s.", forms,
            )  # fmt: skip
        case Unit.OUTPUT_TOKENS:
            return ngettext(
                "%(left)s of %(limit)s output token with %(model)s left %(period)s.",
                "%(left)s of %(limit)s output tokens with %(model)s left %(period)s.", forms,
            )  # fmt: skip
        case Unit.AUDIO_SECONDS:
            return ngettext(
                "%(left)s of %(limit)s second of speech with %(model)s left %(period)s.",
                "%(left)s of %(limit)s seconds of speech with %(model)s left %(period)s.", forms,
            )  # fmt: skip
    return gettext("%(left)s of %(limit)s left to spend on %(model)s %(period)s.")


def _amount(amount: Decimal, *, is_money: bool) -> str:
    """As the language writes numbers; money with its currency."""
    shown = number_format(amount.normalize(), use_l10n=True, force_grouping=True)
    return f"{shown}\u202f{settings.CURRENCY}" if is_money else shown


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
