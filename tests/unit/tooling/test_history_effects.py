"""The check of effects: a good story, and one bad one for each way to be bad."""

from __future__ import annotations

from typing import Any

import pytest

from tests.history.effects import check_effects


def call(status: str, tries: int, allows: int) -> dict[str, Any]:
    return {"status": status, "tries": tries, "allows": allows}


def test_a_good_story() -> None:
    calls = {
        "made": call("ok", 1, 1),
        "lost on its way, allowed again": call("ok", 2, 2),
        "lost after it, denied": call("unknown", 1, 1),
        "denied": call("denied", 0, 0),
        "stopped": call("cancelled", 1, 1),
        "never sent": call("ok", 2, 2),
    }
    began = ["made", *["lost on its way, allowed again"] * 2, "lost after it, denied", "stopped", "never sent"]
    happened = ["made", "lost on its way, allowed again", "lost after it, denied", "never sent"]
    assert check_effects(began, happened, calls) == []


@pytest.mark.parametrize(
    ("began", "happened", "stored", "said"),
    [
        (["a", "a"], ["a", "a"], call("ok", 2, 2), "had its effect 2 times"),
        (["a", "a"], ["a"], call("ok", 2, 1), "made 2 times, and allowed 1 times"),
        (["a"], ["a"], call("ok", 1, 0), "made 1 times, and allowed 0 times"),
        (["a"], ["a"], call("ok", 0, 1), "made 1 times, and noted 0 times"),
        ([], [], call("ok", 1, 1), "nothing happened"),
        (["a"], ["a"], call("denied", 1, 1), "was denied, and happened"),
        (["a"], ["a"], call("running", 1, 1), "has no result"),
        (["a", "b"], ["a"], call("ok", 1, 1), "got a call b that there is not"),
    ],
)
def test_bad_ones(began: list[str], happened: list[str], stored: dict[str, Any], said: str) -> None:
    [found] = check_effects(began, happened, {"a": stored})
    assert said in found
