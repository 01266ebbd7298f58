"""The history checker on a waiting line: one good history, and one bad one for each way to be bad."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.history import find_violations
from tests.unit.tooling.test_history import ANSWER, CONVERSATION, MESSAGE, RUN, Story, event, good

ALICE = {"id": "u1", "name": "Alice"}


def waiting(number: int, **fields: Any) -> dict[str, Any]:
    return {
        "id": f"q{number}", "author": ALICE, "after_id": ANSWER, "position": number, "reason": None, "steers": False,
        "text": f"{number}", "revision": 1, **fields,
    }  # fmt: skip


def queued() -> Story:
    """Alice queues two messages. The first is sent when the answer has ended; the second waits, because that failed."""
    story = good()
    last = story.viewers[0].sockets[1]
    for number in (1, 2):
        last.sent.append({"type": "message.send", "ref": f"q{number}", "client_id": f"w{number}", "text": f"{number}"})
        last.frames.append(
            {
                "type": "message.accepted",
                "ref": f"q{number}",
                "conversation_id": CONVERSATION,
                "message_id": f"q{number}",
                "run_id": None,
                "queued": True,
                "duplicate": False,
                "position": {"epoch": "e", "seq": 9},
            }
        )
    prompt = {**MESSAGE, "id": "q1", "parent_id": ANSWER, "role": "user", "text": "1", "author": ALICE}
    answer = {**MESSAGE, "id": "a2", "parent_id": "q1", "role": "assistant", "author": None}
    second = waiting(2, reason="failed", revision=2)
    last.frames += [
        event(10, "message.queued", message=waiting(1)),
        event(11, "message.queued", message=waiting(2)),
        event(12, "message.created", message=prompt),
        event(13, "message.created", message=answer),
        event(14, "run.queued", run_id="r2", attempt=1, message_id="a2"),
        event(15, "message.unqueued", message_id="q1", reason="sent"),
        event(16, "run.started", run_id="r2", attempt=1),
        event(17, "run.failed", run_id="r2", attempt=1, text_length=0),
        event(18, "message.queued", message=second),
    ]
    last.times += [40.0] * (len(last.frames) - len(last.times))
    rows = story.rows
    rows.messages["q1"] = {
        "conversation_id": CONVERSATION, "parent_id": ANSWER, "role": "user", "text": "1", "status": "complete",
        "author": "alice",
    }  # fmt: skip
    rows.messages["a2"] = {
        "conversation_id": CONVERSATION, "parent_id": "q1", "role": "assistant", "text": "", "status": "failed",
    }  # fmt: skip
    rows.runs["r2"] = {
        **rows.runs[RUN], "prompt_id": "q1", "message_id": "a2", "status": "failed", "attempt": 1,
        "input_tokens": 0, "output_tokens": 0, "requested_by": "alice",
    }  # fmt: skip
    rows.submissions.append({"user": "alice", "client_id": "w1", "message_id": "q1", "run_id": "r2"})
    rows.queued.append(
        {
            "id": "q2",
            "user": "alice",
            "client_id": "w2",
            "state": "waiting",
            "reason": "failed",
            "revision": 2,
            "logged": 2,
        }
    )
    shown = story.snapshots[0]
    run = {"run_id": "r2", "status": "failed", "attempt": 1}
    shown["snapshot"]["messages"] += [prompt, {**answer, "run": run}]
    shown["snapshot"]["queued"] = [dict(second)]
    shown["position"]["seq"] = 18
    return story


def test_messages_may_wait() -> None:
    story = queued()
    assert find_violations(story.viewers, story.rows, story.snapshots) == []


def frames(story: Story) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = story.viewers[0].sockets[1].frames
    return found


def remove_what_was_sent(story: Story) -> None:
    last = story.viewers[0].sockets[1]
    last.sent.append({"type": "queue.remove", "ref": "z", "message_id": "q1"})
    last.frames.append({"type": "ok", "ref": "z"})
    last.times.append(41.0)


BAD_LINES: dict[str, Callable[[Story], object]] = {
    "one is lost": lambda s: s.rows.queued.clear(),
    "one is sent and waits": lambda s: s.rows.queued[0].update(id="q1", client_id="w1"),
    "one is another message": lambda s: s.rows.queued[0].update(id="q9"),
    "one waits for nothing": lambda s: s.rows.queued[0].update(reason=""),
    "the log lacks a change": lambda s: s.rows.queued[0].update(logged=1),
    "somebody else asked it": lambda s: s.rows.runs["r2"].update(requested_by="bob"),
    "somebody else wrote it": lambda s: s.rows.messages["q1"].update(author="bob"),
    "the second goes first": lambda s: frames(s)[-9]["message"].update(position=3),
    "a page never hears that it waits on": lambda s: frames(s)[-1]["message"].update(reason=None),
    "a page shows one that is gone": lambda s: s.snapshots[0]["snapshot"].pop("queued"),
    "one that was removed is sent": remove_what_was_sent,
}


@pytest.mark.parametrize("name", BAD_LINES)
def test_a_bad_line_is_found(name: str) -> None:
    story = queued()
    BAD_LINES[name](story)
    found = find_violations(story.viewers, story.rows, story.snapshots)
    assert any(one.startswith("I11") for one in found), found
