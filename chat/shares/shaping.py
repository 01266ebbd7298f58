"""What readers of a share link see of messages and events: chosen fields, so that a new one is not shown by accident.

Ids of people, addresses, costs, quotas, parameters, and what members are told of moderation are left out.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

RUN_FIELDS: Final = (
    "run_id", "message_id", "part", "base_length", "attempt", "model", "status", "text_length", "finish", "waited_ms",
)  # fmt: skip
MESSAGE_FIELDS: Final = (
    "id", "parent_id", "role", "text", "html", "status", "created_at", "edited_at", "deleted_at", "slot",
)  # fmt: skip
FILE_FIELDS: Final = (
    "id", "name", "media_type", "kind", "size", "state", "thumbnail", "parts", "characters", "width", "height",
    "pasted",
)  # fmt: skip
PASSAGE_FIELDS: Final = ("n", "title", "url", "label", "passage")  # of a collection; the file itself is not for readers
STEP_FIELDS: Final = ("step", "kind", "status", "ms")
SOURCE_FIELDS: Final = ("call_id", "status", "sources")
CALL_FIELDS: Final = (
    "call_id", "name", "title", "server", "effect", "arguments", "status", "output", "output_chars", "ms", "sources",
    "queries",
)  # fmt: skip
STEPS: Final = frozenset({"run.queued", "run.started", "run.waiting", "run.resumed"})
ENDINGS: Final = frozenset({"run.done", "run.stopped", "run.failed", "run.interrupted"})
# Not for readers, and without effect on what they see.
IGNORED: Final = frozenset(
    {
        "members.changed", "message.queued", "message.unqueued", "moderation.notice", "summary.changed",
        "transcript.final",
    }
)  # fmt: skip
# Of calls of tools, where the link shows them: what each says of its call. Of a decision only that there is one.
CALLS: Final = {
    "run.step": ("step", "kind", "status", "ms"),
    "tool.call": ("step", *CALL_FIELDS),
    "tool.approval": ("step", "call_id", "arguments"),
    "tool.decided": ("call_id", "arguments"),
    "tool.progress": ("call_id", "text"),
    "tool.result": ("step", *CALL_FIELDS),
}


class Look(NamedTuple):
    """What a link shows besides the texts of messages and answers."""

    names: bool
    reasoning: bool
    tools: bool = False  # arguments and results of calls
    files: bool = False  # that people attached


def shape_message(message: dict[str, Any], look: Look) -> dict[str, Any]:
    """A message of `chat.eventlog.payloads.message_dict`, for readers."""
    shown: dict[str, Any] = {name: message[name] for name in MESSAGE_FIELDS if name in message}
    author = message.get("author")
    shown["author"] = {"name": author["name"]} if author and look.names else None
    run = message.get("run")
    shown["run"] = _shape_run(run, look) if run else None
    if look.files and "files" in message:
        shown["files"] = [{name: file[name] for name in FILE_FIELDS if name in file} for file in message["files"]]
        if "deleted_files" in message:
            shown["deleted_files"] = message["deleted_files"]
    if withheld := (message.get("moderation") or {}).get("action"):
        shown["moderation"] = {"action": withheld}
    return shown


def _shape_run(run: dict[str, Any], look: Look) -> dict[str, Any]:
    shown: dict[str, Any] = {name: run[name] for name in RUN_FIELDS if name in run}
    if look.reasoning and "reasoning" in run:
        shown["reasoning"] = _shape_reasoning(run["reasoning"])
    if look.files and "sources" in run:
        shown["sources"] = _shape_passages(run["sources"])
    steps = [_shape_step(step, look) for step in run.get("steps", ())]
    if shown_steps := [step for step in steps if step["calls"]]:
        shown["steps"] = shown_steps
    return shown


def _shape_passages(sources: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: one[name] for name in PASSAGE_FIELDS if name in one} for one in sources]


def _shape_step(step: dict[str, Any], look: Look) -> dict[str, Any]:
    """A step with its calls: who decided about them is left out, and files, which only members can download. Without
    `Look.tools` only the sources of the answer are left.
    """
    names = CALL_FIELDS if look.tools else SOURCE_FIELDS
    calls = [{name: call[name] for name in names if name in call} for call in step.get("calls", ())]
    shown: dict[str, Any] = {name: step[name] for name in STEP_FIELDS if name in step}
    return {**shown, "calls": [call for call in calls if look.tools or call.get("sources")]}


def _shape_reasoning(reasoning: dict[str, Any]) -> dict[str, Any]:
    return {name: reasoning[name] for name in ("length", "ms", "text") if name in reasoning}


def shape_event(event: dict[str, Any], look: Look) -> dict[str, Any] | None:
    """An event of the log for readers; None if it is not for them, or if only a snapshot shows what it changed."""
    kind = event["type"]
    if kind in ("message.created", "message.updated"):
        return {"type": kind, "message": shape_message(event["message"], look)}
    if kind == "run.delta":
        return _pick(event, "run_id", "attempt", "index", "text")
    if kind == "run.reasoning":
        return _pick(event, "run_id", "attempt", "step", "index", "text") if look.reasoning else None
    if kind in STEPS:
        return _pick(event, "run_id", "message_id", "attempt", "model", "for", "kept")
    if kind in ENDINGS:
        shown = _pick(event, "run_id", "attempt", "text_length", "html", "finish", "next_attempt", "kept")
        if look.reasoning and "reasoning" in event:
            shown["reasoning"] = _shape_reasoning(event["reasoning"])
        if look.files and "sources" in event:
            shown["sources"] = _shape_passages(event["sources"])
        return shown
    if kind == "conversation.updated":
        return _pick(event, "title")
    return _shape_call(event, look) if kind in CALLS else None


def _shape_call(event: dict[str, Any], look: Look) -> dict[str, Any] | None:
    """An event of a step or a call: who decided about it and its files are left out. Without `Look.tools` only the
    sources of the answer are left.
    """
    kind = event["type"]
    if not look.tools:
        if kind != "tool.result" or not event.get("sources"):
            return None
        return _pick(event, "run_id", "step", *SOURCE_FIELDS)
    shown = _pick(event, "run_id", *CALLS[kind])
    if kind == "tool.decided":
        shown["decision"] = "deny" if event["decision"] == "deny" else "allow"
    return shown


def needs_snapshot(kind: str) -> bool:
    """Whether only a snapshot shows what an event of this type changed: one that is not known here may hide a text."""
    return kind not in _KNOWN


_KNOWN: Final = (
    IGNORED
    | STEPS
    | ENDINGS
    | CALLS.keys()
    | {"message.created", "message.updated", "run.delta", "run.reasoning", "conversation.updated"}
)


def _pick(event: dict[str, Any], *names: str) -> dict[str, Any]:
    return {"type": event["type"]} | {name: event[name] for name in names if name in event}
