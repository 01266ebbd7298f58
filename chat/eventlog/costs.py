"""What answers cost, as their readers are told: only who asked for an answer, and only where their plan shows costs.

A plan that says nothing follows the setting SHOW_COSTS.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from django.conf import settings
from django.db.models import Case

from accounts.models import User
from accounts.quotas.plans import plan_field
from chat.models import Member, Run

_FIELD: Final = "show_costs"


def cost_of(*runs: Run) -> str | None:
    """What these runs cost together. None if any of them has no price, or where the reader is not shown its cost."""
    costs = [run.cost for run in runs]
    if not costs or None in costs or not all(map(may_show_cost, runs)):
        return None
    return _text(sum((cost for cost in costs if cost is not None), Decimal(0)))


def untold_cost(run: Run) -> str | None:
    """What a run cost, where its events do not tell it because others read them too, but the payer may know it."""
    if run.cost is None or may_show_cost(run) or not _payer_is_shown(run):
        return None
    return _text(run.cost)


def may_show_cost(run: Run) -> bool:
    """Whether an answer's cost may be told to all who read its conversation: that is the payer, whose plan shows it."""
    if run.cost_shown is None:
        readers = Member.objects.filter(conversation_id=run.conversation_id)
        found: Any = readers.values_list("user_id", plan_field(_FIELD, "user__"))[:2]
        run.cost_shown = all(user == run.requested_by_id and is_shown(rule) for user, rule in found)
    return run.cost_shown


def payers_rule() -> Case:
    """For queries of runs: the rule of the payer's plan, for `is_shown`."""
    return plan_field(_FIELD, "requested_by__")


def is_shown(rule: bool | None) -> bool:
    """Whether a plan with this rule shows costs."""
    return settings.SHOW_COSTS if rule is None else rule


def _payer_is_shown(run: Run) -> bool:
    if run.requested_by_id is None:
        return False
    rules = User.objects.filter(pk=run.requested_by_id).values_list(plan_field(_FIELD), flat=True)
    return any(is_shown(rule) for rule in rules)


def _text(cost: Decimal) -> str:
    return f"{cost.normalize():f}"
