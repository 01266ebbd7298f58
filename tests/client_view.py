"""What a client has seen of a conversation: the frames, applied in the order in which they came, with every rule of the
protocol checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

DELTAS = {"run.delta": "text", "run.reasoning": "reasoning"}  # what of a run each adds to
TERMINAL = {"run.done", "run.stopped", "run.failed", "run.interrupted"}


class ProtocolViolationError(AssertionError):
    """The server sent what docs/protocol.md forbids."""


class ShortDeltas:
    """Makes whole deltas of those that came in the short form, on one connection."""

    def __init__(self) -> None:
        self.texts: dict[int, dict[str, Any]] = {}  # by alias: the last delta, whole
        self.seqs: dict[str, int] = {}
        self.expanded = 0

    def expand(self, frame: Any) -> dict[str, Any]:
        if isinstance(frame, list):
            alias, text = frame
            if alias not in self.texts:
                raise ProtocolViolationError(f"an alias that was not given: {frame}")
            before = self.texts[alias]
            seq = self.seqs[before["conversation_id"]] + 1
            frame = {**before, "seq": seq, "index": before["index"] + len(before["text"]), "text": text}
            self.expanded += 1
        if "seq" in frame:
            self.seqs[frame["conversation_id"]] = frame["seq"]
        if "alias" in frame:
            self.texts[frame["alias"]] = frame
            self.texts.pop(frame["alias"] - 256, None)
        return dict(frame)


@dataclass
class View:
    """What a page shows of one conversation."""

    epoch: str = ""
    seq: int = 0
    messages: dict[str, dict[str, Any]] = field(default_factory=dict)
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)  # attempt, text, reasoning, ended (type) by run id
    resets: int = 0
    queued: dict[str, dict[str, Any]] = field(default_factory=dict)  # messages that wait
    unqueued: set[str] = field(default_factory=set)  # those that wait no more
    whole: bool = False  # it had a snapshot
    judged: bool = False  # judges behind the stream may take back what was shown before its end; a new epoch follows
    updated: set[str] = field(default_factory=set)  # messages from before this view, known by a change of them alone
    passed_over: set[str] = field(default_factory=set)  # runs under way when this client came in by speaking elsewhere
    came_in: str = ""  # when it came in by speaking, ISO 8601; empty: with a snapshot

    def first_created(self) -> str:
        """When the first message was written that this view has had since it was written; empty for none.

        Who comes in by speaking has nothing of before, though older messages may be announced later: one whose process
        lost Redis in the middle, or a question that is asked again.
        """
        known = (one["created_at"] for one in self.messages.values() if one["id"] not in self.updated)
        return max(min(known, default=""), self.came_in) if self.messages else ""

    def text(self, run_id: str) -> str:
        return str(self.runs[run_id]["text"])


def apply_snapshot(view: View, frame: dict[str, Any]) -> None:
    view.epoch, view.seq = frame["position"]["epoch"], frame["position"]["seq"]
    view.messages = {message["id"]: message for message in frame["snapshot"]["messages"]}
    view.runs, view.passed_over, view.updated, view.came_in = {}, set(), set(), ""
    view.queued, view.whole = {row["id"]: row for row in frame["snapshot"].get("queued", [])}, True
    for message in view.messages.values():
        run = message.get("run")
        if run:
            ended = None if run["status"] in ("queued", "running", "waiting") else f"run.{run['status']}"
            view.runs[run["run_id"]] = {
                **run,
                "text": message["text"],
                "reasoning": (run.get("reasoning") or {}).get("text", ""),
                "base": message["text"][: run.get("base_length", 0)],
                "ended": ended,
                "endings": [],
                "cut": "heard_chars" in run,
            }


def apply_event(view: View, event: dict[str, Any]) -> None:
    if event["seq"] <= view.seq:
        raise ProtocolViolationError(f"seq {event['seq']} after {view.seq}: {event}")
    merged = event["type"] in DELTAS
    if event["seq"] != view.seq + 1 and not merged:
        raise ProtocolViolationError(f"a gap: seq {event['seq']} after {view.seq}: {event}")
    view.seq = event["seq"]
    if event["type"] == "answer.chosen":
        if question := view.messages.get(event["prompt_id"]):
            known = question["comparison"]
            view.messages[event["prompt_id"]] = {**question, "comparison": {**known, "chosen": event["message_id"]}}
        return
    if event["type"] == "message.queued":
        queued = event["message"]
        known = view.queued.get(queued["id"], queued)
        if queued["id"] not in view.messages and queued["id"] not in view.unqueued:
            view.queued[queued["id"]] = max(known, queued, key=lambda one: one["revision"])
        return
    if event["type"] == "message.unqueued":
        view.queued.pop(event["message_id"], None)
        view.unqueued.add(event["message_id"])
        return
    if event["type"] in ("message.created", "message.updated"):
        view.queued.pop(event["message"]["id"], None)
        if event["type"] == "message.updated" and event["message"]["id"] not in view.messages:
            view.updated.add(event["message"]["id"])
        view.messages[event["message"]["id"]] = event["message"]
        _keep_what_was_heard(view, event["message"])
        _go_on(view, event["message"])
        return
    if not event["type"].startswith("run."):
        return
    if event["run_id"] not in view.runs and (event.get("index") or event.get("text_length") or event.get("reasoning")):
        view.passed_over.add(event["run_id"])  # who comes in by `message.accepted` sees what is after it, and no more
    if _goes_on_unseen(view, event):
        view.passed_over.add(event["run_id"])
        del view.runs[event["run_id"]]
    if event["run_id"] in view.passed_over:
        return
    fresh: dict[str, Any] = {
        "attempt": 0,
        "text": "",
        "reasoning": "",
        "ended": None,
        "endings": [],
        "cut": False,
        "message_id": event.get("message_id"),
    }
    run = view.runs.setdefault(event["run_id"], fresh)
    if event["attempt"] < run["attempt"]:
        return
    if event["attempt"] > run["attempt"]:
        kept = event.get("kept", {})  # what finished steps have written stays
        text = run["text"][: kept["text"]] if kept else run.get("base", "")
        run.update(
            attempt=event["attempt"], text=text, reasoning=run["reasoning"][: kept.get("reasoning", 0)], ended=None
        )
    if event["type"] in DELTAS:
        kind = DELTAS[event["type"]]
        if event["index"] != len(run[kind]):
            raise ProtocolViolationError(
                f"delta of {kind} at {event['index']}, but {len(run[kind])} characters are there"
            )
        run[kind] += event["text"]
    elif event["type"] in TERMINAL:
        run["endings"].append((event["type"], event["attempt"]))
        run["ended"] = None if event.get("next_attempt") else event["type"]
        run["final"] = event
        if event.get("next_attempt") and "kept" in event:
            run["text"] = run["text"][: event["text_length"]]
        if view.judged:
            run["text"] = run["text"][: event["text_length"]]
        if event["text_length"] != len(run["text"]) and not run["cut"]:
            raise ProtocolViolationError(f"{event['type']} says {event['text_length']}, shown are {len(run['text'])}")
        thought = (event.get("reasoning") or {}).get("length", 0)
        if thought != len(run["reasoning"]) and not event.get("next_attempt"):
            raise ProtocolViolationError(f"{event['type']} says {thought}, shown are {len(run['reasoning'])}")


def _goes_on_unseen(view: View, event: dict[str, Any]) -> bool:
    """Whether a run continues an answer that this client has never had: it came in between the two."""
    run = view.runs.get(event["run_id"])
    if run is None or run["text"] or "base" in run or run.get("message_id") in view.messages:
        return False
    return bool(event.get("index") if event["type"] == "run.delta" else event.get("text_length"))


def _keep_what_was_heard(view: View, message: dict[str, Any]) -> None:
    """Somebody talked over the answer: it becomes a beginning of what it was."""
    said = message.get("run") or {}
    if "heard_chars" not in said or said["run_id"] not in view.runs:
        return
    run = view.runs[said["run_id"]]
    text = message["text"]
    if not run["ended"] or not run["text"].startswith(text) or len(text) != said["heard_chars"]:
        raise ProtocolViolationError(f"delta texts of {said['run_id']} do not begin with what was heard: {message}")
    run.update(text=text, cut=True)


def _go_on(view: View, message: dict[str, Any]) -> None:
    """Another run continues an answer: it begins with the text that the answer has."""
    said = message.get("run") or {}
    if said.get("part", 1) == 1 or said["status"] != "queued" or said["run_id"] in view.runs:
        return
    if len(message["text"]) != said["base_length"]:
        raise ProtocolViolationError(f"a run continues {said['base_length']} characters of {message}")
    view.runs[said["run_id"]] = {
        "attempt": 0,
        "text": message["text"],
        "base": message["text"],
        "reasoning": "",
        "ended": None,
        "endings": [],
        "cut": False,
        "message_id": message["id"],
    }
