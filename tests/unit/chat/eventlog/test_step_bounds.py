"""A snapshot fits into a frame, however much tools have returned."""

from __future__ import annotations

import json
from typing import Any

from chat.eventlog.step_bounds import LEAST_CHARS, MOST_CHARS, bound_steps


def steps(calls: int, chars: int) -> list[dict[str, Any]]:
    source = {"n": 1, "title": "Page", "url": "https://example.org", "passage": "p" * 2_000}
    one = {"call_id": "c", "arguments": "{}", "output": "x" * chars, "output_chars": chars, "sources": [source]}
    return [{"step": 1, "kind": "model"}, {"step": 2, "kind": "tool", "calls": [json.loads(json.dumps(one))] * 1}] + [
        {"step": number, "kind": "tool", "calls": [json.loads(json.dumps(one))]} for number in range(3, calls + 2)
    ]


def test_little_is_left_as_it_is() -> None:
    answers = [steps(2, 100)]
    before = json.dumps(answers)
    bound_steps(answers)
    assert json.dumps(answers) == before


def test_the_newest_calls_are_whole_and_older_ones_cut() -> None:
    answers = [steps(12, 16 * 1024) for _ in range(40)]
    bound_steps(answers)
    outputs = [call["output"] for step in answers[0] for call in step.get("calls", [])]
    assert len(outputs[-1]) == 16 * 1024
    assert outputs[0] == "x" * LEAST_CHARS + "…"
    assert answers[-1][1]["calls"][0]["output_chars"] == 16 * 1024
    assert len(json.dumps(answers)) < MOST_CHARS + 40 * 12 * (2 * LEAST_CHARS + 400)
