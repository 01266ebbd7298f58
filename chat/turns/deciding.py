"""`tool.decide`: a member allows or denies a call of a tool that waits, and the answer goes on."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from typing import Any, Final

import structlog
from django.db import transaction
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from accounts.lib.db import in_db
from accounts.lib.formatting import grouped
from accounts.lib.outage import OUTAGE
from accounts.lib.texts import gettext_noop
from chat.conversations.membership import check_may_write, member_of
from chat.jobs.dispatch import BrokerAway, enqueue
from chat.models import CallStatus, Conversation, Decision, Run, RunStatus, ToolCall, ToolDecision, WaitingFor
from chat.moderation.decided_calls import CallRefusal, refuse_decision, screen_answer, screen_edited, screen_reason
from chat.protocol.commands import clean_controls
from chat.protocol.deciding import ToolDecide
from chat.protocol.errors import Conflict, Invalid, NotFound, TooLarge
from chat.runs.approval_log import announce_waits
from chat.runs.clock import database_time
from chat.runs.closing import close_in_log
from chat.runs.decisions import EXPIRED, Decided, WaitChanged, decide
from chat.runs.questions import check_answer

MAX_ARGUMENTS_BYTES: Final = 64 * 1024
OVER: Final = gettext_noop("This call is no longer waiting for a decision.")
NO_OBJECT: Final = gettext_noop("The arguments are not a JSON object.")
QUESTION: Final = gettext_noop("This call asks a question. Answer it, or decline.")
NO_QUESTION: Final = gettext_noop("This call asks no question.")
MAX_REASON_CHARS: Final = 1_000
ONLY_DENIALS: Final = gettext_noop("A reason can be given only with a denial.")

_OWN_DECISION: Final = {
    "denied": gettext_noop("You have already denied this."),
    "answered": gettext_noop("You have already answered this."),
    "allowed": gettext_noop("You have already allowed this."),
}
_DECIDED: Final = {
    "denied": gettext_noop("%(name)s has already denied this."),
    "answered": gettext_noop("%(name)s has already answered this."),
    "allowed": gettext_noop("%(name)s has already allowed this."),
}

logger = structlog.get_logger(__name__)


async def decide_and_publish(user_id: uuid.UUID, command: ToolDecide) -> None:
    """Carries out a decision and shows it to everybody. A decision repeated by the same person changes nothing.

    Raises `ChatError`s, and one of `OUTAGE` if PostgreSQL is away.
    """
    changed = await in_db(decide_or_refuse, user_id, command)
    if changed is not None:
        await publish_changes([changed])


def decide_or_refuse(user_id: uuid.UUID, command: ToolDecide) -> WaitChanged | None:
    """`decide_call`; what rules refuse of it gets its case. Raises `Moderated` then, and the call waits on."""
    try:
        return decide_call(user_id, command)
    except CallRefusal as refusal:
        conversation_id = Run.objects.values_list("conversation_id", flat=True).get(pk=command.run_id)
        raise refuse_decision(refusal, user_id, conversation_id) from None


def decide_call(user_id: uuid.UUID, command: ToolDecide) -> WaitChanged | None:
    """Writes the decision in one transaction. None: this person has decided the same before.

    Raises `NotFound`, `Forbidden` and `Suspended`, `Invalid` and `TooLarge` for arguments and answers that do not fit,
    `CallRefusal` for those that rules refuse, and `Conflict`, which names who decided, where the call waits no more.
    """
    conversation_id = Run.objects.filter(pk=command.run_id).values_list("conversation_id", flat=True).first()
    if conversation_id is None:
        raise NotFound
    with transaction.atomic():
        # Members are removed under the same lock: whoever was, decides no more.
        Conversation.objects.select_for_update(no_key=True).filter(pk=conversation_id).first()
        member_of(user_id, conversation_id, write=True)
        check_may_write(user_id)
        run = Run.objects.select_for_update(of=("self",)).filter(pk=command.run_id).first()
        call = ToolCall.objects.select_for_update(of=("self",)).filter(pk=command.call_id, run=command.run_id).first()
        if run is None or call is None:
            raise NotFound
        waits = run.status == RunStatus.WAITING and run.waiting_for == WaitingFor.APPROVAL
        if not waits or call.status != CallStatus.WAITING:
            _check_same(user_id, command, call)
            return None
        if call.expires_at is not None and call.expires_at <= database_time():
            raise Conflict(EXPIRED)  # the sweeper denies it within seconds
        return decide(run, call, _checked(user_id, command, call))


async def publish_changes(changed: Sequence[WaitChanged]) -> None:
    """Shows decisions to everybody and publishes the jobs of the runs that go on. Raises nothing: what cannot be done
    now, the recovery of any process does.
    """
    await announce_waits(list(dict.fromkeys((one.run_id, one.attempt) for one in changed)))
    try:
        if ended := [one.ended for one in changed if one.ended is not None]:
            await close_in_log(*ended)
        for one in changed:
            if one.queued:
                await enqueue(one.run_id)
                await in_db(_note_enqueued, one.run_id)
    except (*OUTAGE, OSError, BrokerAway) as error:
        logger.warning("decision_not_published", runs=[str(one.run_id) for one in changed], error=type(error).__name__)


def _check_same(user_id: uuid.UUID, command: ToolDecide, call: ToolCall) -> None:
    """A decision about a call that waits no more. Raises `Conflict`, unless it is the same one of the same person."""
    last = ToolDecision.objects.filter(call=call).select_related("by").order_by("-at", "-pk").first()
    if last is None:
        raise Conflict(OVER)
    if last.by_id == user_id and last.decision == command.decision:
        return
    if last.by is None:
        raise Conflict(EXPIRED if last.expired else OVER)
    what = "denied" if last.decision == Decision.DENY else "answered" if last.answered else "allowed"
    if last.by_id == user_id:
        raise Conflict(_(_OWN_DECISION[what]))
    raise Conflict(_(_DECIDED[what]) % {"name": last.by.display_name})


def _checked(user_id: uuid.UUID, command: ToolDecide, call: ToolCall) -> Decided:
    decision = Decision(command.decision)
    if decision == Decision.DENY:
        return Decided(decision, user_id, reason=screen_reason(_reason(command.reason), call, user_id))
    if command.reason:
        raise Invalid(ONLY_DENIALS)
    if call.question is None:
        if command.answer is not None:
            raise Invalid(NO_QUESTION)
        return Decided(decision, user_id, arguments=screen_edited(_edited(command.arguments, call), call, user_id))
    if command.answer is None or command.arguments is not None or decision != Decision.ONCE:
        raise Invalid(QUESTION)
    try:
        answer = check_answer(call.question["schema"], command.answer)
    except ValueError as error:
        raise Invalid(str(error)) from None
    return Decided(decision, user_id, answer=screen_answer(answer, call, user_id))


def _edited(arguments: str | dict[str, Any] | None, call: ToolCall) -> str:
    """Arguments as a person wants them to be sent; empty where they are the model's."""
    if arguments is None:
        return ""
    try:
        text = arguments.strip() if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    except RecursionError:
        raise Invalid(NO_OBJECT) from None
    if len(text.encode()) > MAX_ARGUMENTS_BYTES:
        raise TooLarge(
            _("Arguments can have at most %(max_arguments_bytes)s KiB.")
            % {"max_arguments_bytes": MAX_ARGUMENTS_BYTES // 1024}
        )
    try:
        parsed = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise Invalid(NO_OBJECT) from None
    if not isinstance(parsed, dict):
        raise Invalid(NO_OBJECT)
    return "" if text == call.sent_arguments or parsed == _parsed(call.sent_arguments) else text


def _reason(text: str | None) -> str:
    """Why a call is denied, as it is stored; empty where nobody says."""
    reason = clean_controls(text or "").strip()
    if len(reason) > MAX_REASON_CHARS:
        raise TooLarge(
            _("A reason can have at most %(max_reason_chars)s characters.")
            % {"max_reason_chars": grouped(MAX_REASON_CHARS)}
        )
    return reason


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _note_enqueued(run_id: uuid.UUID) -> None:
    Run.objects.filter(pk=run_id, status=RunStatus.QUEUED, enqueued_at=None).update(enqueued_at=Now())
