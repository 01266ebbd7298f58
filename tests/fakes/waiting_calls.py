"""Answers that wait for a decision about calls of tools, as a worker leaves them, and their events.

For tests of what people see of them. It runs in a process of the stack: `stack.manage("shell", "--command", …)`.
"""

from __future__ import annotations

import uuid
from typing import Any

from asgiref.sync import async_to_sync

from accounts.models import User
from chat.models import Member, ToolCall
from chat.runs.approval_log import announce_wait
from chat.runs.approvals import Wait, wait_for_approval
from tests.fixtures.tool_rows import OWNER, WHY, with_calls


def ask(*calls: dict[str, Any], email: str = "alice@example.org", question: Any = None, members: Any = ()) -> None:
    """A conversation of one person whose answer waits for these calls (their fields). Prints the conversation's id.
    `members`: address and role of others in it.
    """
    person = User.objects.get(email=email)
    found = with_calls(person, len(calls))
    conversation = found.run.conversation_id
    for address, role in members:
        Member.objects.create(conversation_id=conversation, user=User.objects.get(email=address), role=role)
    for call_id, fields in zip(found.calls, calls, strict=True):
        ToolCall.objects.filter(pk=call_id).update(**fields)
    _wait(found.run, found.calls, question)
    print(conversation)


def _wait(run: Any, calls: list[uuid.UUID], question: Any) -> None:
    assert wait_for_approval(run, OWNER, [Wait(one, WHY, question) for one in calls])
    async_to_sync(announce_wait)(run.id, run.attempt)
