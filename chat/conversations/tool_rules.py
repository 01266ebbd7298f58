"""How often tools ask in a conversation, and the limits of its answers with tools, as its members chose.

Both only make staff's rules stricter: policies that ask are kept, and of two limits the lower one counts.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.lib.formatting import grouped
from accounts.models import User
from accounts.quotas.plans import plan_field
from chat.conversations.membership import WRITERS, member_of
from chat.conversations.publishing import publish_setting
from chat.models import Conversation
from chat.protocol.errors import Invalid

APPROVALS: Final = ("", "ask", "always")
WHOLE: Final = {"steps": (0, 1_000), "seconds": (1, 86_400), "tokens": (1, 1_000_000_000)}  # the least and the most
MOST_COST: Final = Decimal(100_000)  # USD
COST_DIGITS: Final = 6  # after the point
LIMITS: Final = (*WHOLE, "cost")


def read_rules(user_id: uuid.UUID, conversation_id: uuid.UUID) -> dict[str, Any]:
    """What the page shows a member. `approval`: "" (as policies say), "ask" or "always". `limits` are the
    conversation's own (null: none), `plan` those of this member's plan (null: no limit). `cost` is a text, in USD.

    Raises `NotFound`.
    """
    member = member_of(user_id, conversation_id)
    return _describe(user_id, member.conversation, may_change=member.role in WRITERS)


def change_rules(user_id: uuid.UUID, conversation_id: uuid.UUID, given: Mapping[str, str]) -> dict[str, Any]:
    """Changes what is named in `given` (`approval`, `steps`, `seconds`, `tokens`, `cost`; an empty limit: none of the
    conversation's own) from the next answer on, and tells every open tab. Returns what `read_rules` does.

    Raises `NotFound`, `Forbidden` and `Invalid`.
    """
    unknown = set(given) - {"approval", *LIMITS}
    if unknown or not given:
        raise Invalid(_("There is no such rule.") if unknown else _("Nothing is to be changed."))
    approval = given.get("approval")
    if approval is not None and approval not in APPROVALS:
        raise Invalid(_("Choose one of the ways to ask."))
    wanted = {name: _read(name, given[name]) for name in LIMITS if name in given}
    with transaction.atomic():
        member_of(user_id, conversation_id, write=True)
        conversation = Conversation.objects.select_for_update(no_key=True).get(pk=conversation_id)
        if approval is not None:
            conversation.tool_approval = approval
        limits = {**conversation.tool_limits, **wanted}
        conversation.tool_limits = {name: value for name, value in limits.items() if value is not None}
        conversation.save(update_fields=["tool_approval", "tool_limits"])
    publish_setting(conversation, "tool_rules")
    return _describe(user_id, conversation, may_change=True)


def _describe(user_id: uuid.UUID, conversation: Conversation, *, may_change: bool) -> dict[str, Any]:
    found = User.objects.filter(pk=user_id).values_list(*(plan_field(f"tool_{name}") for name in LIMITS)).get()
    of_plan: dict[str, Any] = dict(zip(LIMITS, found, strict=True))
    return {
        "approval": conversation.tool_approval,
        "limits": {name: conversation.tool_limits.get(name) for name in LIMITS},
        "plan": of_plan | {"cost": _spell(of_plan["cost"])},
        "may_change": may_change,
    }


def _read(name: str, text: str) -> int | str | None:
    """A limit as it is stored; None for an empty text. Raises `Invalid`."""
    text = text.strip()
    if not text:
        return None
    try:
        value = Decimal(text[:30])
    except InvalidOperation:
        value = Decimal("NaN")
    if name == "cost":
        if not value.is_finite() or not 0 < value <= MOST_COST or value != round(value, COST_DIGITS):
            raise Invalid(_("Enter an amount in USD, above 0 and up to %(most)s.") % {"most": grouped(MOST_COST)})
        return _spell(value)
    least, most = WHOLE[name]
    if not value.is_finite() or value != int(value) or not least <= value <= most:
        raise Invalid(_("Enter a whole number from %(least)s to %(most)s.") % {"least": least, "most": grouped(most)})
    return int(value)


def _spell(cost: Decimal | None) -> str | None:
    return None if cost is None else f"{cost.normalize():f}"
