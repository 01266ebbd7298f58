"""What staff decided about tools (`ToolPolicy`): which rule is in force for a person."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Final

from django.db.models import Q

from accounts.models import User
from chat.models import ToolPolicy

_STRICTEST: Final = {one: place for place, one in enumerate((ToolPolicy.Rule.OFF, "always", "ask", "never"))}


def policies_of(user_id: uuid.UUID) -> list[ToolPolicy]:
    """The policies for everybody and for the groups that the user is in."""
    groups = User.groups.through.objects.filter(user_id=user_id).values("group_id")
    return list(ToolPolicy.objects.filter(Q(group=None) | Q(group_id__in=groups)))


def rule_of(policies: Iterable[ToolPolicy], server: str, tool: str) -> str:
    """The rule of the most specific policy: of the tool before that of its server, of a group before everybody's.

    Of several groups' policies the strictest counts. Empty: there is none.
    """
    fitting = [one for one in policies if one.server == server and one.tool in ("", tool)]
    levels = ((True, True), (True, False), (False, True), (False, False))  # of the tool; of a group
    for of_tool, of_group in levels:
        rules = [one.rule for one in fitting if bool(one.tool) == of_tool and (one.group_id is not None) == of_group]
        if rules:
            return min(rules, key=lambda rule: _STRICTEST[rule])
    return ""
