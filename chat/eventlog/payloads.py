"""Messages, runs and usage as dictionaries for events and snapshots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.lib.texts import gettext_noop
from accounts.models import User
from chat.eventlog.costs import cost_of
from chat.eventlog.kept import kept_of
from chat.eventlog.withheld_steps import without_contents
from chat.files.payloads import message_files
from chat.files.sources import used_by_run
from chat.models import (
    ACTIVE,
    Comparison,
    Conversation,
    Finish,
    Message,
    MessageStatus,
    Run,
    RunStatus,
    Summary,
)

NO_ANSWER: Final = "no_answer"  # the code of a complete run whose model thought and wrote nothing
MODERATED: Final = "moderated"  # the code of a run that moderation has ended
_WITHHELD: Final = ("hold", "block", "withdrawn")
TALKED_OVER: Final = ("talked_over", gettext_noop("You interrupted the answer; the part you heard is kept."))


_FINISH_NOTES: Final = {
    Finish.LENGTH.value: gettext_noop("Reached the length limit."),
    Finish.FILTERED.value: gettext_noop("The provider's content filter ended this answer."),
    Finish.TOOL_LIMIT.value: gettext_noop("Reached the limit of tool calls."),
}


def finish_note(finish: str) -> str:
    """A sentence for the user about a complete answer that did not end by itself; else empty."""
    return _FINISH_NOTES.get(finish, "")


def no_answer_note(finish: str) -> str:
    """A sentence for the user about a complete run whose model thought, or called tools, and wrote nothing."""
    if finish == Finish.LENGTH:
        return _("The model reached its length limit while it was thinking, before it gave an answer.")
    if finish == Finish.TOOL_LIMIT:
        return _("The model went on calling tools and gave no answer.")
    return _("The model was thinking but gave no answer.")


def failure_of(run: Run) -> tuple[str | None, str | None]:
    """Why a run's answer is incomplete: a code, and a sentence for the user. Both None if it is complete."""
    if run.heard_chars is not None and not run.error_code:
        return TALKED_OVER
    return run.error_code or None, run.error_message or None


def failure_dict(run: Run) -> dict[str, Any]:
    """Why a run's answer is incomplete, as its closing event says it."""
    code, sentence = failure_of(run)
    trace = trace_of(run)
    return {"code": code, "message": sentence, "retryable": True, **({"trace": trace} if trace else {})}


def trace_of(run: Run) -> str:
    """What finds a failed run for staff, and its log lines; empty for one that did not fail, or without a trace."""
    return run.trace_id if run.status in (RunStatus.FAILED, RunStatus.INTERRUPTED) else ""


_CUT: Final = (MessageStatus.STOPPED, MessageStatus.INTERRUPTED, MessageStatus.FAILED)


def is_continuable(message: Message, run: Run) -> bool:
    """Whether an answer that has ended can go on in the same message: it has text, was cut, and may be longer."""
    if not message.text.strip() or len(message.text) >= settings.ANSWER_MAX_CHARS or run.error_code == MODERATED:
        return False
    if message.status in _CUT or run.error_code == NO_ANSWER:
        return True
    return message.status == MessageStatus.COMPLETE and run.finish == Finish.LENGTH


def context_of(run: Run) -> dict[str, Any]:
    """What the model read for a run, in tokens: `used` of its `window`; and how many older messages were `dropped`."""
    used = run.input_tokens if run.context_tokens is None else run.context_tokens
    return {"used": used, "window": run.context_window, "dropped": run.context_dropped}


def run_dict(
    run: Run, *, text_length: int = 0, reasoning: str | None = None, steps: Sequence[dict[str, Any]] = ()
) -> dict[str, Any]:
    """A run as sent to clients. `reasoning` is its whole text where it is known, also of a run in progress. `steps` are
    as `tool_events.steps_of` has them.
    """
    code, sentence = failure_of(run)
    shown: dict[str, Any] = {
        "run_id": str(run.id),
        "message_id": str(run.message_id),
        "part": run.part,
        "base_length": run.base_chars,
        "attempt": run.attempt,
        "model": run.model,
        "status": run.status,
        "code": code,
        "message": sentence,
        "retryable": run.status in (RunStatus.FAILED, RunStatus.INTERRUPTED, RunStatus.STOPPED) or code == NO_ANSWER,
        "text_length": text_length,
        "usage": usage_of(run),
        "context": context_of(run),
        "timing": timing_of(run),
    }
    if trace := trace_of(run):
        shown["trace"] = trace
    if parameters := parameters_of(run):
        shown["parameters"] = parameters
    shown |= used_by_run(run)
    if run.reasoning_chars or reasoning:
        shown["reasoning"] = reasoning_of(run)
        if reasoning is not None:
            shown["reasoning"] |= {"length": len(reasoning), "text": reasoning}
    if run.status in ACTIVE:
        shown |= kept_of(run)
    if steps:
        shown["steps"] = list(steps)
    if run.status == RunStatus.WAITING:
        shown["waiting_for"] = run.waiting_for
    if run.status in ACTIVE:
        shown["waited_ms"] = max(0, int((timezone.now() - run.created_at).total_seconds() * 1000))
    if run.status == RunStatus.DONE:
        shown["finish"] = run.finish or Finish.STOP.value
    if run.heard_chars is not None and run.produced_chars is not None:
        shown["heard_chars"] = run.heard_chars
    return shown


def parameters_of(run: Run) -> dict[str, Any]:
    """The parameters that were really sent for a run, and the names of those that were `dropped` because the model does
    not accept them; empty where there were none.
    """
    dropped = run.parameters.get("dropped")
    return {**run.parameters.get("sent", {}), **({"dropped": dropped} if dropped else {})}


def parameters_for_members(conversation: Conversation) -> dict[str, Any]:
    """A conversation's parameters as every member may see them: of its system prompt only whether there is one, because
    viewers are not shown it.
    """
    return {
        "temperature": conversation.temperature,
        "max_tokens": conversation.max_tokens,
        "effort": conversation.effort or None,
        "has_system_prompt": bool(conversation.system_prompt),
    }


def reasoning_of(run: Run) -> dict[str, Any]:
    """How much a model thought, without the text: `length` in code points, `ms` and `tokens` (0 while not known)."""
    return {"length": run.reasoning_chars, "ms": run.reasoning_ms, "tokens": run.reasoning_tokens}


def lengths_of(run: dict[str, Any]) -> dict[str, int]:
    """The lengths of an answer's text and reasoning, from a run as sent to clients."""
    return {"text": run["text_length"], "reasoning": run.get("reasoning", {}).get("length", 0)}


def timing_of(run: Run) -> dict[str, Any]:
    """Milliseconds from the message's commit; `first_reasoning_ms` only of a run whose model thought."""
    timing = {"queued_ms": run.queued_ms, "first_token_ms": run.first_token_ms, "total_ms": run.total_ms}
    if run.first_reasoning_ms is not None:
        timing["first_reasoning_ms"] = run.first_reasoning_ms
    return timing


def usage_of(run: Run) -> dict[str, Any]:
    return {
        "input_tokens": run.input_tokens,
        "output_tokens": run.output_tokens,
        "cost": cost_of(run),
        "estimated": run.usage_estimated,
    }


def summary_dict(summary: Summary) -> dict[str, Any]:
    """The summary of the first `messages` messages of a branch, to be shown after `message_id`. `used`: models get it
    instead of them.
    """
    return {
        "id": str(summary.pk),
        "message_id": str(summary.last_id),
        "messages": summary.messages,
        "text": summary.text,
        "model": summary.model,
        "used": summary.used,
    }


def usage_of_message(runs: Sequence[Run]) -> dict[str, Any]:
    """The usage of all runs that wrote one answer, added up. What none of them knows is None. Time in milliseconds."""

    def total(name: str) -> int | None:
        known = [value for run in runs if (value := getattr(run, name)) is not None]
        return sum(known) if known else None

    return {
        "runs": len(runs),
        "input_tokens": total("input_tokens"),
        "output_tokens": total("output_tokens"),
        "cost": cost_of(*(run for run in runs if run.output_tokens is not None)),
        "estimated": any(run.usage_estimated for run in runs),
        "total_ms": total("total_ms"),
    }


def moderation_of(message: Message) -> dict[str, str]:
    """What moderation did to a message that readers must know: `action`, `reason`, `case_id`; empty if it has all of
    its text.
    """
    found: dict[str, str] = message.moderation
    return {} if found.get("action") == "release" else found


def person_dict(person: User) -> dict[str, str]:
    """A person as other people see them."""
    return {"id": str(person.pk), "name": person.display_name}


def author_of(message: Message) -> dict[str, Any] | None:
    """Who wrote a message; None: a model, or nobody knows. In a copy, other authors have a name and no id."""
    if message.author_name:
        return {"id": None, "name": message.author_name}
    return person_dict(message.author) if message.author else None


def changes_of(message: Message) -> dict[str, str]:
    """When a message was edited in place or deleted; only what happened."""
    found = {"edited_at": message.edited_at, "deleted_at": message.deleted_at}
    return {name: at.isoformat() for name, at in found.items() if at is not None}


def message_dict(
    message: Message,
    run: Run | None = None,
    *,
    text: str | None = None,
    reasoning: str | None = None,
    earlier: Sequence[Run] = (),
    comparison: Comparison | None = None,
    steps: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    """A message as sent to clients. `message.author` should be loaded. `run` is the latest run of an answer, `earlier`
    are those that it continues. `comparison` is of a question that several models answer side by side. Who asked is in
    it if `run.requested_by` is loaded.
    """
    shown = message.text if text is None else text
    made: dict[str, Any] = {
        "id": str(message.id),
        "parent_id": str(message.parent_id) if message.parent_id else None,
        "role": message.role,
        "author": author_of(message),
        "text": shown,
        "html": message.html or None,
        "status": message.status,
        "created_at": message.created_at.isoformat(),
        **changes_of(message),
        "run": run_dict(run, text_length=len(shown), reasoning=reasoning, steps=steps) if run else None,
    }
    if message.mentions:
        made["mentions"] = message.mentions
    if message.file_count:
        made |= message_files(message)
    if run is not None and Run.requested_by.is_cached(run) and run.requested_by is not None:
        made["asked_by"] = person_dict(run.requested_by)
    if moderation := moderation_of(message):
        made["moderation"] = moderation
        if made["run"] and moderation.get("action") in _WITHHELD and "steps" in made["run"]:
            made["run"]["steps"] = without_contents(made["run"]["steps"])
    if comparison is not None:
        made["comparison"] = {
            "size": comparison.size,
            "chosen": str(comparison.chosen_id) if comparison.chosen_id else None,
        }
    if run is not None and run.slot:
        made["slot"] = run.slot
    if run is not None and run.status not in ACTIVE:
        made["run"]["continuable"] = is_continuable(message, run)
    if run is not None and earlier:
        made["usage"] = usage_of_message([*earlier, run])
    return made
