"""What decides whether a call asks, as the database knows it: staff's policies and what people have allowed for longer.

The rules are in `workers.tools.policy`.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Literal, cast

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Q
from django.db.models.functions import JSONObject

from accounts.models import User
from chat.models import Conversation, Member, Role, ToolApproval, ToolPolicy
from chat.runs.tool_rules import Policy

MAY_DECIDE = (Role.OWNER.value, Role.EDITOR.value)


@dataclass(frozen=True, slots=True)
class ApprovalFacts:
    """Of one conversation, and of the person who asked there.

    `remembered` has (server, own name) of each tool that counts as allowed: by that person in all their conversations,
    or in this one by anybody who may still decide here. `tainted`: content from outside is in the conversation.
    """

    policies: list[Policy]
    remembered: frozenset[tuple[str, str]]
    conversation: Literal["", "ask", "always"] = ""
    tainted: bool = False


def read_approval_facts(user_id: uuid.UUID | None, conversation_id: uuid.UUID) -> ApprovalFacts:
    """What is known of calls that `user_id` (None: somebody who was erased) asked for. Two queries."""
    deciding = Member.objects.filter(conversation=conversation_id, role__in=MAY_DECIDE).values("user_id")
    here = Q(conversation=conversation_id, user__in=deciding)
    approvals = ToolApproval.objects.filter(here | Q(conversation=None, user=user_id) if user_id else here)
    rows = approvals.order_by().values(found=JSONObject(server="server", tool="tool"))
    row = (
        Conversation.objects.filter(pk=conversation_id)
        .values_list("tool_approval", "outside_content_at", ArraySubquery(rows))
        .first()
    )
    if row is None:  # deleted for good meanwhile
        return ApprovalFacts(policies_for(user_id), frozenset())
    chosen, outside, found = row
    remembered = frozenset((one["server"], one["tool"]) for one in found)
    return ApprovalFacts(
        policies_for(user_id), remembered, cast("Literal['', 'ask', 'always']", chosen), outside is not None
    )


def policies_for(user_id: uuid.UUID | None) -> list[Policy]:
    """Staff's policies for one person: everybody's, and those of their groups. One query."""
    groups = User.groups.through.objects.filter(user=user_id).values("group_id")
    rows = ToolPolicy.objects.filter(Q(group=None) | Q(group__in=groups)).order_by("pk")
    return [
        Policy(server, tool, rule, group is not None)
        for server, tool, rule, group in rows.values_list("server", "tool", "rule", "group_id")
    ]
