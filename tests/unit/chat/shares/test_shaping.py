"""What readers of share links see of messages and events: chosen fields, and nothing of people, money or moderation."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chat.shares.shaping import CALLS, IGNORED, Look, needs_snapshot, shape_event, shape_message

BARE, FULL = Look(names=False, reasoning=False), Look(names=True, reasoning=True)
RUN: dict[str, Any] = {
    "run_id": "r", "message_id": "m", "part": 1, "base_length": 0, "attempt": 1, "model": "small", "status": "done",
    "code": "quota_exceeded", "message": "Your quota is used up.", "retryable": True, "text_length": 2,
    "usage": {"cost": "9.99"}, "context": {"used": 77}, "timing": {"total_ms": 1}, "parameters": {"temperature": 1},
    "reasoning": {"length": 3, "ms": 4, "tokens": 55, "text": "hmm"}, "finish": "stop", "continuable": True,
}  # fmt: skip
MESSAGE: dict[str, Any] = {
    "id": "m", "parent_id": None, "role": "assistant", "author": {"id": "secret-id", "name": "Alice"}, "text": "hi",
    "html": "<p>hi</p>", "status": "complete", "created_at": "2026-01-01T00:00:00+00:00", "run": RUN,
    "moderation": {"action": "mask", "reason": "You wrote something", "case_id": "case-7"}, "client_id": "c1",
    "usage": {"cost": "9.99"}, "comparison": {"size": 2, "chosen": None}, "something_new": "private",
}  # fmt: skip
PRIVATE = ("secret-id", "quota", "9.99", "77", "temperature", "case-7", "You wrote", "c1", "55", "private")


@pytest.mark.parametrize("look", [BARE, FULL])
def test_a_message(look: Look) -> None:
    shown = json.dumps(shape_message(MESSAGE, look))
    assert not [word for word in PRIVATE if word in shown]
    assert ("Alice" in shown, "hmm" in shown) == (look.names, look.reasoning)
    assert shape_message(MESSAGE, look)["moderation"] == {"action": "mask"}


@pytest.mark.parametrize("kind", ["run.done", "run.stopped", "run.failed", "run.interrupted"])
def test_an_end(kind: str) -> None:
    event = {"type": kind, "conversation_id": "c", "html": "<p>", **RUN}
    shown = shape_event(event, BARE)
    assert shown == {
        "type": kind, "run_id": "r", "attempt": 1, "text_length": 2, "html": "<p>", "finish": "stop"
    }  # fmt: skip
    assert shape_event(event, FULL) == {**shown, "reasoning": {"length": 3, "ms": 4, "text": "hmm"}}


def test_thinking_only_where_it_is_shown() -> None:
    event = {"type": "run.reasoning", "run_id": "r", "attempt": 1, "step": 0, "index": 0, "text": "hmm"}
    assert shape_event(event, BARE) is None
    assert shape_event(event, FULL) == event


def test_only_the_title_of_a_conversation() -> None:
    event = {"type": "conversation.updated", "title": "T", "model": "m", "members": [{"name": "Bob"}], "folder_id": 1}
    assert shape_event(event, FULL) == {"type": "conversation.updated", "title": "T"}


@pytest.mark.parametrize("kind", sorted(IGNORED))
def test_what_is_not_for_readers(kind: str) -> None:
    assert shape_event({"type": kind, "text": "x", "members": []}, FULL) is None
    assert not needs_snapshot(kind)


CALL: dict[str, Any] = {
    "conversation_id": "c", "message_id": "m", "run_id": "r", "step": 2, "call_id": "k", "name": "find",
    "title": "Find", "server": "wiki", "effect": "writes", "arguments": '{"q": "a plan"}', "status": "ok",
    "output": "a result", "output_chars": 8, "ms": 5, "sources": [{"n": 1, "title": "A", "url": "https://a.example"}],
    "text": "Searching for the plan", "by": {"id": "secret-id", "name": "Alice"}, "decision": "conversation",
    "files": [{"id": "file-id"}], "question": {"sentence": "secret?"}, "expires_at": "2026", "kind": "tool",
    "edited": True, "why": "outside content",
}  # fmt: skip
OF_MEMBERS = ("secret-id", "Alice", "file-id", "secret?", "2026", "outside content", "conversation")


@pytest.mark.parametrize("kind", sorted(CALLS))
def test_events_of_calls(kind: str) -> None:
    event = {**CALL, "type": kind}
    full = shape_event(event, Look(names=True, reasoning=True, tools=True))
    assert full is not None
    assert full["run_id"] == "r"
    assert not [word for word in OF_MEMBERS if word in json.dumps(full)]
    bare = shape_event(event, FULL)
    if kind == "tool.result":
        sources = [{"n": 1, "title": "A", "url": "https://a.example"}]
        assert bare == {"type": kind, "run_id": "r", "step": 2, "call_id": "k", "status": "ok", "sources": sources}
        assert shape_event({**event, "sources": []}, FULL) is None
    else:
        assert bare is None
    assert not needs_snapshot(kind)


@pytest.mark.parametrize(("decision", "shown"), [("deny", "deny"), ("once", "allow"), ("always", "allow")])
def test_only_whether_a_call_was_allowed(decision: str, shown: str) -> None:
    event = {"type": "tool.decided", "run_id": "r", "call_id": "k", "title": "Find", "decision": decision, "by": None}
    shaped = shape_event(event, Look(names=True, reasoning=True, tools=True))
    assert shaped == {"type": "tool.decided", "run_id": "r", "call_id": "k", "decision": shown}


def test_passages_of_collections_are_shown_with_files_alone_and_without_the_file() -> None:
    source = {"n": 1, "title": "a.pdf", "url": "", "passage": "P", "label": "page 3", "file": "0193", "position": 3}
    run = {"run_id": "r", "message_id": "m", "sources": [source], "steps": []}
    message = {"id": "m", "role": "assistant", "text": "Yes [1].", "run": run}
    shown = {name: source[name] for name in ("n", "title", "url", "label", "passage")}
    with_files, without = Look(names=True, reasoning=True, files=True), Look(names=True, reasoning=True)
    assert shape_message(message, with_files)["run"]["sources"] == [shown]
    assert "sources" not in shape_message(message, without)["run"]
    event = {"type": "run.done", "run_id": "r", "attempt": 1, "sources": [source]}
    assert (shape_event(event, with_files) or {})["sources"] == [shown]
    assert "sources" not in (shape_event(event, without) or {})
