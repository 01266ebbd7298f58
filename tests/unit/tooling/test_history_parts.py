"""The history checker on an answer that was continued: one good history, and one bad one for each way to be bad."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.history import find_violations
from tests.unit.tooling.test_history import ANSWER, CONVERSATION, MESSAGE, PROMPT, RUN, Story, event, good


def continued() -> Story:
    """The answer reached its length and Alice continues it. Bob has left by then."""
    story = good()
    said = {"run_id": "r2", "part": 2, "base_length": 8, "attempt": 1, "status": "queued"}
    answer = {**MESSAGE, "id": ANSWER, "parent_id": PROMPT, "role": "assistant"}
    last = story.viewers[0].sockets[1]
    usage = {"runs": 2, "input_tokens": 12, "output_tokens": 3}
    accepted = {
        "type": "message.accepted", "ref": "3", "conversation_id": CONVERSATION, "message_id": ANSWER, "run_id": "r2",
        "duplicate": False, "position": {"epoch": "e", "seq": 9},
    }  # fmt: skip
    more = [
        accepted,
        event(10, "message.updated", message={**answer, "text": "Good day", "status": "pending", "run": said}),
        event(11, "run.queued", run_id="r2", attempt=1, message_id=ANSWER),
        event(12, "run.started", run_id="r2", attempt=1),
        event(13, "run.delta", run_id="r2", attempt=1, index=8, text=" to you"),
        event(14, "run.done", run_id="r2", attempt=1, text_length=15, message_usage=usage),
    ]
    last.frames += more
    last.times += [40.0] * len(more)
    last.sent.append({"type": "message.continue", "ref": "3", "client_id": "k2", "message_id": ANSWER})
    story.rows.runs[RUN].update(latest=False)
    story.rows.runs["r2"] = {
        **story.rows.runs[RUN], "part": 2, "latest": True, "base_chars": 8, "attempt": 1, "input_tokens": 7,
        "output_tokens": 1,
    }  # fmt: skip
    story.rows.bills.append({"run_id": "r2", "input_tokens": 7, "output_tokens": 1})
    story.rows.submissions.append({"user": "alice", "client_id": "k2", "message_id": ANSWER, "run_id": "r2"})
    story.rows.messages[ANSWER].update(text="Good day to you")
    shown = story.snapshots[0]["snapshot"]["messages"][1]
    shown.update(text="Good day to you", usage=usage, run={**said, "status": "done"})
    story.snapshots[0]["position"]["seq"] = 14
    return story


def test_an_answer_may_go_on() -> None:
    story = continued()
    assert find_violations(story.viewers, story.rows, story.snapshots) == []


BAD_PARTS: dict[str, tuple[str, Callable[[Story], object]]] = {
    "a part is missing": ("I2", lambda s: s.rows.runs["r2"].update(part=3)),
    "a part twice": ("I2", lambda s: s.rows.runs["r2"].update(part=1)),
    "both are the latest": ("I2", lambda s: s.rows.runs[RUN].update(latest=True)),
    "the continuation answers nothing that was asked": ("I2", lambda s: s.rows.submissions.pop()),
    "the continuation was accepted twice": ("I1", lambda s: s.rows.submissions.append(s.rows.submissions[1])),
    "the first part has changed": ("I3", lambda s: s.rows.messages[ANSWER].update(text="Food day to you")),
    "words were lost at the joint": ("I3", lambda s: s.rows.messages[ANSWER].update(text="Good day you")),
    "words were doubled at the joint": ("I3", lambda s: s.rows.messages[ANSWER].update(text="Good day day to you")),
    "it begins somewhere else": ("I3", lambda s: s.rows.runs["r2"].update(base_chars=4)),
    "it begins behind the end": ("I3", lambda s: s.rows.runs["r2"].update(base_chars=99)),
    "the continuation is not billed": ("I6", lambda s: s.rows.bills.pop()),
    "the usage is the last part's alone": (
        "I6",
        lambda s: s.viewers[0].sockets[1].frames[-1].update(message_usage={**s.rows.bills[1], "runs": 2}),
    ),
    "the usage is not said": ("I6", lambda s: s.viewers[0].sockets[1].frames[-1].pop("message_usage")),
    "a snapshot has another usage": (
        "I6",
        lambda s: s.snapshots[0]["snapshot"]["messages"][1].update(usage={**s.rows.bills[0], "runs": 2}),
    ),
}


@pytest.mark.parametrize("name", BAD_PARTS)
def test_an_answer_that_went_on_badly_is_found(name: str) -> None:
    invariant, spoil = BAD_PARTS[name]
    story = continued()
    spoil(story)
    found = find_violations(story.viewers, story.rows, story.snapshots)
    assert any(line.startswith(invariant) for line in found), found
