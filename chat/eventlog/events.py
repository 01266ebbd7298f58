"""Builds the events of the log (docs/protocol.md §2), each encoded once, without `seq`. Only reads model fields."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any, Final, Protocol

from django.utils.translation import gettext as _

from accounts.models import User
from chat.eventlog.costs import cost_of
from chat.eventlog.kept import Stepped, kept_of
from chat.eventlog.payloads import (
    context_of,
    failure_dict,
    failure_of,
    is_continuable,
    message_dict,
    parameters_for_members,
    parameters_of,
    person_dict,
    reasoning_of,
    summary_dict,
    timing_of,
    usage_of,
    usage_of_message,
)
from chat.files.sources import used_by_run
from chat.models import Comparison, Conversation, Finish, Member, Message, MessageStatus, Run, RunStatus, Summary
from chat.models.conversations import usual_rule
from chat.protocol.frames import encode_event

Event = tuple[bytes, bool]  # encoded, and whether it is a delta


class AnyRun(Stepped, Protocol):
    """A run's row, or a run as its worker knows it."""

    @property
    def id(self) -> uuid.UUID: ...
    @property
    def conversation_id(self) -> uuid.UUID: ...
    @property
    def message_id(self) -> uuid.UUID: ...
    @property
    def model(self) -> str: ...
    @property
    def attempt(self) -> int: ...


TERMINAL_TYPES: Final = {
    RunStatus.DONE.value: "run.done",
    RunStatus.STOPPED.value: "run.stopped",
    RunStatus.FAILED.value: "run.failed",
    RunStatus.INTERRUPTED.value: "run.interrupted",
}


def _state(event: dict[str, Any]) -> Event:
    return encode_event(event), False


def message_created(
    message: Message,
    *,
    client_id: uuid.UUID | None = None,
    comparison: Comparison | None = None,
    slot: int = 0,
    asked_by: User | None = None,
) -> Event:
    """`client_id` lets the sender's page replace the message it already shows. `comparison` is of a question that
    several models answer, `slot` the place of an answer among them. `asked_by` is who asked for an answer.
    """
    shown = message_dict(message, comparison=comparison)
    if slot:
        shown["slot"] = slot
    if asked_by is not None:
        shown["asked_by"] = person_dict(asked_by)
    if client_id is not None:
        shown["client_id"] = str(client_id)
    return _state({"type": "message.created", "conversation_id": str(message.conversation_id), "message": shown})


def message_updated(message: Message, run: Run | None, earlier: Sequence[Run] = ()) -> Event:
    shown = message_dict(message, run, earlier=earlier)
    return _state({"type": "message.updated", "conversation_id": str(message.conversation_id), "message": shown})


def answer_continued(message: Message, run: Run) -> Event:
    """An answer goes on: its message is pending again, with the text that it had before this run."""
    shown = message_dict(message, run, text=message.text[: run.base_chars])
    shown |= {"status": MessageStatus.PENDING.value, "html": None}
    shown["run"].pop("continuable", None)
    shown["run"] |= {"status": RunStatus.QUEUED.value, "code": None, "message": None, "retryable": False}
    return _state({"type": "message.updated", "conversation_id": str(message.conversation_id), "message": shown})


class AnyChoice(Protocol):
    """An answer that was chosen of several side by side."""

    @property
    def prompt_id(self) -> uuid.UUID: ...
    @property
    def message_id(self) -> uuid.UUID: ...
    @property
    def model(self) -> str: ...


def answer_chosen(conversation_id: uuid.UUID, choice: AnyChoice) -> Event:
    """The conversation goes on with one of several answers side by side, and with its model."""
    return _state(
        {
            "type": "answer.chosen",
            "conversation_id": str(conversation_id),
            "prompt_id": str(choice.prompt_id),
            "message_id": str(choice.message_id),
            "model": choice.model,
        }
    )


def run_queued(run: AnyRun, *, attempt: int) -> Event:
    return _state(_progress("run.queued", run, attempt))


def run_started(run: AnyRun) -> Event:
    return _state(_progress("run.started", run, run.attempt))


def run_waiting(run: AnyRun, awaited: str, *, attempt: int | None = None) -> Event:
    """What an answer waits for before its first words: `loading` or `model`; before it is queued, `moderation`."""
    return _state({**_progress("run.waiting", run, run.attempt if attempt is None else attempt), "for": awaited})


def run_resumed(run: AnyRun, awaited: str, *, attempt: int) -> Event:
    """A run waits no more for what `run_waiting` announced before it was queued."""
    return _state({**_progress("run.resumed", run, attempt), "for": awaited})


def run_announced(run: Run) -> Event:
    """The first event of a run's first attempt: it is queued, or waits for a person."""
    if run.status == RunStatus.WAITING:
        return run_waiting(run, run.waiting_for, attempt=1)
    return run_queued(run, attempt=1)


def moderation_notices(message: Message, run: Run | None = None) -> list[Event]:
    """The notice of what moderation did to a message, of an answer with its run; none if it did nothing."""
    if not message.moderation:
        return []
    notice = {
        "type": "moderation.notice",
        "conversation_id": str(message.conversation_id),
        "message_id": str(message.pk),
        **({"run_id": str(run.pk)} if run else {}),
        **message.moderation,
    }
    return [_state(notice)]


def _progress(kind: str, run: AnyRun, attempt: int) -> dict[str, Any]:
    return {
        "type": kind,
        "conversation_id": str(run.conversation_id),
        "run_id": str(run.id),
        "message_id": str(run.message_id),
        "attempt": attempt,
        "model": run.model,
        **kept_of(run),
    }


def run_delta(conversation_id: str, run_id: str, attempt: int, index: int, text: str) -> Event:
    event = {
        "type": "run.delta",
        "conversation_id": conversation_id,
        "run_id": run_id,
        "attempt": attempt,
        "index": index,
        "text": text,
    }
    return encode_event(event), True


def run_reasoning(conversation_id: str, run_id: str, attempt: int, index: int, text: str, *, step: int = 0) -> Event:
    """A delta of what the model thinks. A run that has asked for no call has one step, number 0."""
    event = {
        "type": "run.reasoning",
        "conversation_id": conversation_id,
        "run_id": run_id,
        "attempt": attempt,
        "step": step,
        "index": index,
        "text": text,
    }
    return encode_event(event), True


def run_ended(run: Run, message: Message, earlier: Sequence[Run] = (), *, text_length: int | None = None) -> Event:
    """The one closing event of the run's current attempt. `text_length` is the length of the answer with all deltas; if
    the user talked over it, `message.updated` follows with the part that is kept.

    `earlier` are the runs that this one continues. With a given `text_length` the answer has been continued since.
    """
    goes_on = text_length is not None
    if text_length is None:
        text_length = len(message.text) if run.produced_chars is None else run.produced_chars
    event: dict[str, Any] = {
        "type": TERMINAL_TYPES[run.status],
        "conversation_id": str(run.conversation_id),
        "run_id": str(run.id),
        "message_id": str(run.message_id),
        "attempt": run.attempt,
        "text_length": text_length,
    }
    html = "" if goes_on else message.html
    if html:
        event["html"] = html
    if run.status == RunStatus.DONE:
        event["html"] = html or None
        event["finish"] = run.finish or Finish.STOP.value
    if run.status != RunStatus.DONE or failure_of(run)[0]:
        event |= failure_dict(run)
    if run.reasoning_chars:
        event["reasoning"] = reasoning_of(run)
    event["continuable"] = not goes_on and is_continuable(message, run)
    event["usage"] = usage_of(run)
    if earlier:
        event["message_usage"] = usage_of_message([*earlier, run])
    event |= {"cost": cost_of(run), "context": context_of(run), "timing": timing_of(run)}
    event |= {**({"parameters": said} if (said := parameters_of(run)) else {}), **used_by_run(run)}
    return _state(event)


def run_superseded(run: AnyRun, text_length: int) -> Event:
    """The end of a lost attempt; the next attempt is queued, and goes on after `text_length` code points of the answer:
    what there was before the run, unless it has finished steps.
    """
    return _state(
        {
            **kept_of(run),
            "type": "run.interrupted",
            "conversation_id": str(run.conversation_id),
            "run_id": str(run.id),
            "message_id": str(run.message_id),
            "attempt": run.attempt,
            "text_length": text_length,
            "code": "worker_lost",
            "message": _("The worker was lost; another one is taking over."),
            "retryable": True,
            "next_attempt": run.attempt + 1,
        }
    )


def conversation_updated(conversation: Conversation) -> Event:
    """Two queries at most."""
    return _state(
        {
            "type": "conversation.updated",
            "conversation_id": str(conversation.id),
            "title": conversation.title,
            "model": conversation.model or None,
            "web_search": conversation.web_search,
            "parameters": parameters_for_members(conversation),
            "answers": conversation.rule,
            "tools": conversation.tools,
            "collections": [str(pk) for pk in conversation.collections.values_list("pk", flat=True)],
        }
    )


def member_dict(member: Member) -> dict[str, Any]:
    """A member as the other members see them."""
    return {"id": str(member.user_id), "name": member.user.display_name, "role": member.role}


def members_changed(conversation: Conversation, members: Sequence[Member]) -> Event:
    """Who the members are from now on, and so which messages the model answers."""
    return _state(
        {
            "type": "members.changed",
            "conversation_id": str(conversation.pk),
            "answers": conversation.answers or usual_rule(len(members)),
            "members": [member_dict(member) for member in members],
        }
    )


def summary_changed(summary: Summary) -> Event:
    """A summary was made, undone, or is used again."""
    return _state(
        {
            "type": "summary.changed",
            "conversation_id": str(summary.conversation_id),
            "summary": summary_dict(summary),
        }
    )
