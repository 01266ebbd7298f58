"""The history checker on answers with tools: one good history, and one bad one for each way to be bad."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.history import Rows, Socket, Viewer
from tests.history.steps import check_steps, tokens_of

Story = tuple[list[Viewer], Rows]
RESULT: dict[str, Any] = {"type": "tool.result", "call_id": "c1", "status": "ok", "output": "It is 2."}


def good() -> Story:
    """A run looks something up, waits for a person, and sends something. Bob comes in at the end."""
    rows = Rows(runs={"r1": {"status": "done"}})
    kinds = ["model", "tool", "model", "tool", "approval"]
    rows.steps = [
        {"run_id": "r1", "number": number, "kind": kind, "status": "done", "input_tokens": 5, "output_tokens": 1}
        for number, kind in enumerate(kinds, 1)
    ]
    common = {"run_id": "r1", "status": "ok", "tries": 1, "waits": 1, "decision": ""}
    rows.calls = {
        "c1": {"id": "c1", "effect": "reads", **common, "tries": 3},
        "c2": {"id": "c2", "effect": "writes", **common, "decision": "once"},
    }
    live = [
        {"type": "tool.call", "call_id": "c1"},
        dict(RESULT),
        dict(RESULT),  # again, after a new attempt
        {"type": "tool.call", "call_id": "c2"},
        {"type": "tool.approval", "call_id": "c2"},
        {**RESULT, "call_id": "c2"},
    ]
    calls = [{"call_id": name, "status": "ok", "output": "It is 2."} for name in ("c1", "c2")]
    message = {"run": {"steps": [{"calls": calls}]}}
    late = [{"type": "subscribed", "snapshot": {"messages": [message, {"run": None}]}}, dict(RESULT)]
    return [Viewer("alice", [Socket(live)]), Viewer("bob", [Socket(late)])], rows


def test_a_good_history_has_no_violations() -> None:
    viewers, rows = good()
    assert check_steps(viewers, rows) == []
    assert tokens_of(rows, "r1") == (10, 2)


def _open_call(story: Story) -> None:
    story[1].calls["c1"]["status"] = "running"


def _open_step(story: Story) -> None:
    story[1].steps[1]["status"] = "running"


def _missing_step(story: Story) -> None:
    del story[1].steps[2]


def _written_twice(story: Story) -> None:
    story[1].calls["c2"]["tries"] = 3


def _unapproved(story: Story) -> None:
    story[1].calls["c2"]["decision"] = ""


def _another_result(story: Story) -> None:
    story[0][0].sockets[0].frames[2]["output"] = "It is 3."


def _unlike_the_snapshot(story: Story) -> None:
    story[0][1].sockets[0].frames[1]["status"] = "error"


def _result_before_the_call(story: Story) -> None:
    del story[0][0].sockets[0].frames[0]


def _not_stored(story: Story) -> None:
    del story[1].calls["c1"]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_open_call, "its call c1 is running"),
        (_open_step, "its step 2 is not"),
        (_missing_step, "are numbered [1, 2, 4, 5]"),
        (_written_twice, "c2 writes, and was tried 3 times"),
        (_unapproved, "c2 waited for a person and was made without a decision"),
        (_another_result, "alice saw two results of c1"),
        (_unlike_the_snapshot, "bob saw two results of c1"),
        (_result_before_the_call, "alice saw the result of c1 before the call"),
        (_not_stored, "alice saw c1 end as ok, stored is None"),
    ],
)
def test_each_violation_is_found(spoil: Callable[[Story], None], said: str) -> None:
    story = good()
    spoil(story)
    assert any(said in one for one in check_steps(*story))
