"""Whether a call of a tool is made at once, waits for a person, or is not made at all. Pure: no Django, no I/O.

Staff's most specific policy says it, or else the tool's own default; a conversation can only ask more often. `ask` is
satisfied by an approval that a person gave for longer. After content from outside has come into the context, its
instructions may be behind a call: whatever writes or sends then asks again. An approval from before does not count,
and no default; only staff can exempt a tool, by a policy `never` for exactly that tool.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from accounts.lib.texts import gettext_noop
from chat.runs.tool_rules import Policy, applying_policy, own_name, stricter
from workers.tools.base import Approval, Effect

Outcome = Literal["allow", "ask", "off"]

OFF: Final = gettext_noop("This tool is turned off here.")
OUTSIDE: Final = gettext_noop("Content from outside is in this conversation, so whatever writes or sends asks again.")
CONVERSATION: Final = gettext_noop("In this conversation, each call asks.")
EACH_TIME: Final = gettext_noop("This tool asks each time.")
READS: Final = gettext_noop("Nobody has allowed this tool for more than one call yet.")
WRITES: Final = gettext_noop("This tool writes or sends, and nobody has allowed it for more than one call yet.")


@dataclass(frozen=True, slots=True)
class ApprovalRequest:
    """A call that a model asks for, and all that decides about it.

    `name` and `server` are the tool's own; `approval` is its default. `policies` are those of staff that are for the
    person who asked. `remembered`: a person has allowed the tool for longer. `conversation` is what its members chose.
    `tainted`: content from outside is in the context. `stopped`: staff's sentence while all tools are stopped.
    """

    name: str
    server: str
    effect: Effect
    approval: Approval
    policies: Sequence[Policy] = ()
    remembered: bool = False
    conversation: Literal["", "ask", "always"] = ""
    tainted: bool = False
    stopped: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What happens to a call. `why` is a sentence for people where it is not allowed."""

    outcome: Outcome
    why: str = ""


ALLOWED: Final = Verdict("allow")


def judge(request: ApprovalRequest) -> Verdict:
    """What happens to a call. The same request has the same verdict always."""
    if request.stopped:
        return Verdict("off", request.stopped)
    policy = applying_policy(request.policies, request.server, request.name)
    rule = policy.rule if policy is not None else request.approval
    if rule == "off":
        return Verdict("off", OFF)
    if rule == "always":
        return Verdict("ask", EACH_TIME)
    if request.conversation == "always":
        return Verdict("ask", CONVERSATION)
    exempt = policy is not None and policy.tool == request.name and policy.rule == "never"
    if request.tainted and request.effect == "writes" and not exempt:
        return Verdict("ask", OUTSIDE)
    if stricter(rule, request.conversation) == "never" or request.remembered:
        return ALLOWED
    return Verdict("ask", READS if request.effect == "reads" else WRITES)


class KnownFacts(Protocol):
    """What the database knows of a run's conversation and people (`chat.runs.approval_facts`)."""

    @property
    def policies(self) -> Sequence[Policy]: ...
    @property
    def remembered(self) -> Collection[tuple[str, str]]: ...
    @property
    def conversation(self) -> Literal["", "ask", "always"]: ...
    @property
    def tainted(self) -> bool: ...


class JudgedTool(Protocol):
    """What counts of a tool (`workers.tools.base.Tool`)."""

    @property
    def name(self) -> str: ...
    @property
    def server(self) -> str: ...
    @property
    def effect(self) -> Effect: ...
    @property
    def approval(self) -> Approval: ...


def request_of(tool: JudgedTool, facts: KnownFacts, *, tainted: bool = False, stopped: str = "") -> ApprovalRequest:
    """The request of a call of a tool. `tainted`: content from outside came in since the facts were read."""
    name = own_name(tool.name, tool.server)
    return ApprovalRequest(
        name,
        tool.server,
        tool.effect,
        tool.approval,
        facts.policies,
        (tool.server, name) in facts.remembered,
        facts.conversation,
        tainted or facts.tainted,
        stopped,
    )
