"""Which calls are made at once and which wait for a person, and the wait itself: meanwhile the run has no worker."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

from accounts.lib.db import in_db
from chat.runs.approval_facts import read_approval_facts
from chat.runs.approval_log import announce_waits
from chat.runs.approvals import Wait, wait_for_approval
from chat.runs.context import ClaimedRun
from chat.runs.tool_switch import tools_stopped
from workers.tools.base import Tool
from workers.tools.policy import judge, request_of

MAYBE_HAPPENED: Final = "It may have happened already: the connection to it was lost while it was under way."


@dataclass(frozen=True, slots=True)
class Judged:
    """What happens to a call, and a sentence for people where it is not made at once."""

    outcome: Literal["allow", "ask", "off"]
    why: str = ""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A call that waits for a person: to be allowed, or for the answer to a question (`sentence` and `schema`)."""

    call_id: uuid.UUID
    why: str
    question: Mapping[str, Any] | None = None


class Approvals(Protocol):
    """What the loop asks about calls."""

    async def judge(self, run: ClaimedRun, tools: Sequence[Tool]) -> list[Judged]:
        """A verdict for a call of each of these tools. Raises a database error."""

    async def wait(self, run: ClaimedRun, owner: str, calls: Sequence[Waiting]) -> bool:
        """Lets the run wait for decisions about these calls. False: it is not this worker's any more, or is stopped."""


class PolicyApprovals:
    """By the policies of staff and what people have allowed for longer."""

    async def judge(self, run: ClaimedRun, tools: Sequence[Tool]) -> list[Judged]:
        facts = await in_db(read_approval_facts, run.user_id, run.conversation_id)
        stopped = await in_db(tools_stopped) or ""
        verdicts = [judge(request_of(tool, facts, stopped=stopped)) for tool in tools]
        return [Judged(one.outcome, one.why) for one in verdicts]

    async def wait(self, run: ClaimedRun, owner: str, calls: Sequence[Waiting]) -> bool:
        waits = [Wait(one.call_id, one.why, one.question) for one in calls]
        if not await in_db(wait_for_approval, run, owner, waits):
            return False
        await announce_waits([(run.id, run.attempt)])
        return True
