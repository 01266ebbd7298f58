"""The history checker must find what it is there for: one good history, and one bad one for each way to be bad."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.history import Rows, Socket, Viewer, find_violations

CONVERSATION, PROMPT, ANSWER, RUN, KEY = "c1", "m1", "m2", "r1", "k1"
MESSAGE = {"conversation_id": CONVERSATION, "text": "", "created_at": "2026-01-01T00:00:00Z"}


@dataclass
class Story:
    """Alice sends, two sockets of hers and one of Bob's watch; the first attempt is lost before its first word."""

    viewers: list[Viewer]
    rows: Rows
    snapshots: list[dict[str, Any]]

    @property
    def alice(self) -> Any:
        return self.viewers[0].sockets[0]

    @property
    def bob(self) -> Any:
        return self.viewers[1].sockets[0]

    def event(self, kind: str, number: int = 0) -> dict[str, Any]:
        found: dict[str, Any] = [frame for frame in self.alice.frames if frame["type"] == kind][number]
        return found


def event(seq: int, kind: str, **fields: Any) -> dict[str, Any]:
    base = {"type": kind, "conversation_id": CONVERSATION, "seq": seq}
    return base | ({"run_id": RUN, "attempt": 2} if kind.startswith("run.") else {}) | fields


def good() -> Story:
    prompt = {**MESSAGE, "id": PROMPT, "parent_id": None, "role": "user", "text": "hi"}
    answer = {**MESSAGE, "id": ANSWER, "parent_id": PROMPT, "role": "assistant"}
    position = {"epoch": "e", "seq": 0}
    log = [
        event(1, "message.created", message=prompt),
        event(2, "message.created", message=answer),
        event(3, "run.queued", attempt=1, message_id=ANSWER),
        event(4, "run.started", attempt=1),
        event(5, "run.interrupted", attempt=1, text_length=0, next_attempt=2),
        event(6, "run.reasoning", step=0, index=0, text="Hm."),
        event(7, "run.delta", index=0, text="Good "),
        event(8, "run.delta", index=5, text="day"),
        event(9, "run.done", text_length=8, reasoning={"length": 3}),
    ]
    accepted = {
        "type": "message.accepted", "ref": "1", "conversation_id": CONVERSATION, "message_id": PROMPT, "run_id": RUN,
        "duplicate": False, "position": position,
    }  # fmt: skip
    again = {**accepted, "ref": "2", "duplicate": True, "position": {"epoch": "e", "seq": 7}}
    command = {"type": "message.send", "ref": "1", "client_id": KEY, "text": "hi"}
    subscribed = {
        "type": "subscribed",
        "conversation_id": CONVERSATION,
        "recovered": True,
        "position": {**position, "seq": 7},
    }
    empty = {
        "type": "subscribed",
        "conversation_id": CONVERSATION,
        "recovered": False,
        "position": position,
        "snapshot": {"messages": []},
    }
    merged = event(8, "run.delta", index=0, text="Good day")
    alice = [
        Socket(copy.deepcopy([accepted, *log[:7]]), [1.0 + n for n in range(8)], [command]),
        Socket(copy.deepcopy([subscribed, {**again, "ref": "2"}, *log[7:]]), [20.0] * 4, [{**command, "ref": "2"}]),
    ]
    bob = [Socket(copy.deepcopy([empty, *log[:6], merged, log[8]]), [30.0] * 9, [])]
    run = {"run_id": RUN, "attempt": 2, "status": "done", "reasoning": {"length": 3, "text": "Hm."}}
    shown = [prompt, {**answer, "text": "Good day", "run": run}]
    fresh = {**empty, "position": {"epoch": "e", "seq": 9}, "snapshot": {"messages": shown, "has_more": False}}
    rows = Rows(
        messages={
            PROMPT: {**prompt, "status": "complete"},
            ANSWER: {**answer, "text": "Good day", "status": "complete"},
        },
        runs={
            RUN: {
                "conversation_id": CONVERSATION, "message_id": ANSWER, "status": "done", "attempt": 2,
                "ended_in_log": True, "lease_expires_at": None, "input_tokens": 5, "output_tokens": 2,
                "heard_chars": None, "produced_chars": None, "part": 1, "latest": True, "base_chars": 0,
            }
        },
        reasoning={RUN: "Hm."},
        bills=[{"run_id": RUN, "input_tokens": 5, "output_tokens": 2}],
        submissions=[{"user": "alice", "client_id": KEY, "message_id": PROMPT, "run_id": RUN}],
        members={(CONVERSATION, "alice"), (CONVERSATION, "bob")},
    )  # fmt: skip
    return Story([Viewer("alice", alice), Viewer("bob", bob)], rows, [copy.deepcopy(fresh)])


def test_a_good_history_has_no_violation() -> None:
    story = good()
    assert find_violations(story.viewers, story.rows, story.snapshots) == []


def talked_over() -> Story:
    """Alice talks over the answer; Bob has left by then."""
    story = good()
    run = {"run_id": RUN, "attempt": 2, "status": "done", "heard_chars": 4, "reasoning": {"length": 3, "text": "Hm."}}
    kept = {**MESSAGE, "id": ANSWER, "parent_id": PROMPT, "role": "assistant", "text": "Good", "run": run}
    last = story.viewers[0].sockets[1]
    last.frames.append(event(10, "message.updated", message=kept))
    last.times.append(21.0)
    story.rows.messages[ANSWER].update(text="Good", status="stopped")
    story.rows.runs[RUN].update(heard_chars=4, produced_chars=8)
    story.snapshots[0]["position"]["seq"] = 10
    story.snapshots[0]["snapshot"]["messages"][1].update(text="Good", run=run)
    return story


def test_what_was_not_heard_may_go() -> None:
    story = talked_over()
    assert find_violations(story.viewers, story.rows, story.snapshots) == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda s: s.rows.messages[ANSWER].update(text="Food"),  # no beginning of what was said
        lambda s: s.rows.messages[ANSWER].update(text="Goo"),  # not as long as was heard
        lambda s: s.rows.messages[ANSWER].update(status="complete"),
        lambda s: s.rows.runs[RUN].update(produced_chars=9),  # Bob saw another length
        lambda s: s.rows.runs[RUN].update(heard_chars=None, produced_chars=None),  # cut for no reason
        lambda s: s.viewers[0].sockets[1].frames[-1]["message"].update(text="Goody"),
    ],
)
def test_no_other_words_go(spoil: Callable[[Story], object]) -> None:
    story = talked_over()
    spoil(story)
    assert find_violations(story.viewers, story.rows, story.snapshots) != []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda s: s.rows.messages[ANSWER].update(text="Good Xyz day"),
        lambda s: s.rows.reasoning.update({RUN: "Hm, Xyz."}),
        lambda s: s.snapshots[0]["snapshot"]["messages"][0].update(text="Xyz"),
        lambda s: change(s, -3, text="an Xyz"),
        lambda s: in_two_pieces(s),
    ],
)
def test_a_word_that_is_withheld_is_nowhere(spoil: Callable[[Story], object]) -> None:
    story = good()
    assert not any(one.startswith("I10") for one in find_violations(story.viewers, story.rows, withheld=["Xyz"]))
    spoil(story)
    found = find_violations(story.viewers, story.rows, story.snapshots, ["Xyz"])
    assert any(one.startswith("I10") for one in found), found


def in_two_pieces(story: Story) -> None:
    """Alice gets the word in two deltas."""
    first, second = story.viewers[0].sockets
    first.frames[-1].update(text="Good Xy")
    second.frames[2].update(text="z", index=7)


def change(story: Story, number: int, **fields: Any) -> None:
    """Changes an event of Bob's log."""
    story.bob.frames[number] |= fields


def drop(socket: Any, number: int) -> None:
    del socket.frames[number], socket.times[number]


def repeat(socket: Any, number: int, **fields: Any) -> None:
    socket.frames.insert(number + 1, {**socket.frames[number], **fields})
    socket.times.insert(number + 1, socket.times[number])


def add_run(story: Story, **fields: Any) -> None:
    story.rows.runs["r2"] = {**story.rows.runs[RUN], **fields}


BAD: dict[str, tuple[str, Callable[[Story], object]]] = {
    "one command is two messages": (
        "I1",
        lambda s: s.rows.submissions.append({**s.rows.submissions[0], "message_id": "m9"}),
    ),
    "the retry got another message": ("I1", lambda s: s.viewers[0].sockets[1].frames[1].update(message_id="m9")),
    "the retry was made anew": ("I1", lambda s: s.viewers[0].sockets[1].frames[1].update(duplicate=False)),
    "an accepted message is lost": ("I1", lambda s: s.rows.submissions.clear()),
    "a message nobody sent": ("I1", lambda s: s.rows.messages.update(m9={**s.rows.messages[PROMPT]})),
    "two runs for one command": ("I2", lambda s: add_run(s, message_id="m9")),
    "two runs for one answer": ("I2", add_run),
    "a run without an end": ("I2", lambda s: s.rows.runs[RUN].update(status="running")),
    "an answer that never ended": ("I2", lambda s: s.rows.messages[ANSWER].update(status="streaming")),
    "a lease that outlives the run": ("I2", lambda s: s.rows.runs[RUN].update(lease_expires_at="now")),
    "a parent elsewhere": ("I2", lambda s: s.rows.messages[PROMPT].update(conversation_id="c9")),
    "stored text is shorter": ("I3", lambda s: s.rows.messages[ANSWER].update(text="Good")),
    "a client misses words": ("I3", lambda s: change(s, 7, text="Good")),
    "attempts are mixed": ("I3", lambda s: change(s, 7, index=4)),
    "stored thinking is longer": ("I3", lambda s: s.rows.reasoning.update({RUN: "Hm. Well."})),
    "thinking is not stored": ("I3", lambda s: s.rows.reasoning.clear()),
    "a client misses thinking": ("I3", lambda s: change(s, 6, text="Hm")),
    "thinking comes at another place": ("I3", lambda s: change(s, 6, index=1)),
    "an end that nobody stored": ("I3", lambda s: s.rows.runs[RUN].update(status="stopped")),
    "an event is missing": ("I4", lambda s: drop(s.bob, 3)),
    "an event comes twice": ("I4", lambda s: repeat(s.bob, 4)),
    "two events at one place": ("I4", lambda s: change(s, 4, attempt=7)),
    "recovered elsewhere": ("I4", lambda s: s.viewers[0].sockets[1].frames[0]["position"].update(seq=6)),
    "events where nothing is followed": ("I4", lambda s: drop(s.bob, 0)),
    "an attempt ends twice": ("I5", lambda s: repeat(s.bob, 8, seq=10)),
    "an attempt ends in two ways": ("I5", lambda s: change(s, 8, type="run.failed", seq=9)),
    "an end that is not in the log": ("I5", lambda s: s.rows.runs[RUN].update(ended_in_log=False)),
    "an answer nobody billed": ("I6", lambda s: s.rows.bills.clear()),
    "an answer billed twice": ("I6", lambda s: s.rows.bills.append(s.rows.bills[0])),
    "another bill than the answer": ("I6", lambda s: s.rows.bills[0].update(output_tokens=3)),
    "a bill for nothing": ("I6", lambda s: s.rows.bills.append({**s.rows.bills[0], "run_id": "r9"})),
    "held back for ever": ("I6", lambda s: s.rows.reserved.append(RUN)),
    "an outsider reads": ("I7", lambda s: s.rows.members.remove((CONVERSATION, "bob"))),
    "reading on after the end of access": ("I8", lambda s: s.viewers[1].revoked.update({CONVERSATION: 27.5})),
    "reading on after logout": ("I8", lambda s: s.viewers[1].revoked.update({"*": 27.5})),
    "a snapshot says otherwise": ("I9", lambda s: s.snapshots[0]["snapshot"]["messages"][1].update(text="Good d")),
    "a snapshot lacks thinking": ("I9", lambda s: s.snapshots[0]["snapshot"]["messages"][1]["run"].pop("reasoning")),
    "a snapshot lacks a message": ("I9", lambda s: s.snapshots[0]["snapshot"]["messages"].pop(0)),
    "a message nobody was told of": (
        "I9",
        lambda s: s.snapshots[0]["snapshot"]["messages"].append({**MESSAGE, "id": "m9", "created_at": "2027"}),
    ),
}  # fmt: skip


def side_by_side() -> Story:
    """Two models answer, the second of them unseen; the first answer is chosen."""
    story = good()
    run = story.rows.runs[RUN]
    run.update(prompt_id=PROMPT, slot=1)
    story.rows.runs["r2"] = {**run, "message_id": "m3", "slot": 2}
    story.rows.messages["m3"] = {**story.rows.messages[ANSWER]}
    story.rows.bills.append({**story.rows.bills[0], "run_id": "r2"})
    story.rows.comparisons[PROMPT] = {"prompt_id": PROMPT, "size": 2, "chosen_id": ANSWER}
    for socket in [*story.viewers[0].sockets, story.bob]:
        for frame in socket.frames:
            if frame["type"] == "message.created" and frame["message"]["id"] == PROMPT:
                frame["message"]["comparison"] = {"size": 2, "chosen": None}
    story.snapshots[0]["position"]["seq"] = 10
    story.snapshots[0]["snapshot"]["messages"][0]["comparison"] = {"size": 2, "chosen": ANSWER}
    for socket, at in ((story.viewers[0].sockets[1], 21.0), (story.bob, 30.0)):
        socket.frames.append(event(10, "answer.chosen", prompt_id=PROMPT, message_id=ANSWER, model="small"))
        socket.times.append(at)
    return story


def test_answers_side_by_side_are_one_submission() -> None:
    story = side_by_side()
    assert find_violations(story.viewers, story.rows, story.snapshots) == []


@pytest.mark.parametrize(
    ("invariant", "spoil"),
    [
        ("I2", lambda s: s.rows.runs.pop("r2")),
        ("I2", lambda s: s.rows.runs["r2"].update(slot=3)),
        ("I2", lambda s: s.rows.runs.update(r3={**s.rows.runs["r2"]})),
        ("I2", lambda s: s.rows.comparisons.clear()),
        ("I2", lambda s: s.rows.comparisons[PROMPT].update(chosen_id=PROMPT)),
        ("I9", lambda s: s.bob.frames[-1].update(message_id="m3")),
        ("I6", lambda s: s.rows.bills.pop()),
    ],
)
def test_answers_side_by_side_that_are_wrong(invariant: str, spoil: Callable[[Story], object]) -> None:
    story = side_by_side()
    spoil(story)
    found = find_violations(story.viewers, story.rows, story.snapshots)
    assert any(line.startswith(invariant) for line in found), found


@pytest.mark.parametrize("name", BAD)
def test_a_bad_history_is_found(name: str) -> None:
    invariant, spoil = BAD[name]
    story = good()
    spoil(story)
    found = find_violations(story.viewers, story.rows, story.snapshots)
    assert any(line.startswith(invariant) for line in found), found


def test_what_came_before_access_ended_is_no_violation() -> None:
    story = good()
    story.rows.members.remove((CONVERSATION, "bob"))
    story.viewers[1].revoked[CONVERSATION] = 29.0
    assert find_violations(story.viewers, story.rows, story.snapshots) == []
