"""What pages say of steps and calls, before a script is there."""

from __future__ import annotations

from typing import Any

import pytest

from accounts.lib.formatting import file_size
from chat.protocol.commands import TurnOptions
from chat.protocol.parameters import check_options
from chat.telemetry import tool_metrics
from chat.templatetags.steps import call_about, call_state, group_words, spell_ms, tool_groups


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ('{"count": 3, "query": "  light\\n on Mars "}', "light on Mars"),
        ('{"url": "https://example.org/' + "a" * 90 + '"}', "https://example.org/" + "a" * 59 + "…"),
        ('{"a": 1}', ""),
        ('["light"]', ""),
        ('{"query": "cut', ""),
        ("", ""),
        ("[" * 100_000, ""),
    ],
)
def test_a_call_is_about_its_first_text(arguments: str, words: str) -> None:
    assert call_about({"arguments": arguments}) == words


@pytest.mark.parametrize(
    ("ms", "words"),
    [(0, "0.1 s"), (444, "0.4 s"), (2_349, "2.3 s"), (9_950, "10 s"), (59_000, "59 s"), (125_000, "2 min 5 s"),
     (None, ""), ("", "")],
)  # fmt: skip
def test_times(ms: Any, words: str) -> None:
    assert spell_ms(ms) == words


def test_groups_and_states() -> None:
    steps: list[dict[str, Any]] = [
        {"step": 1, "kind": "model", "status": "done"},
        {"step": 2, "kind": "tool", "status": "done", "calls": [{"status": "ok"}, {"status": "error"}]},
    ]
    assert [group_words(step) for step in tool_groups(steps)] == ["2 tools · 1 failed"]
    assert tool_groups(None) == []
    assert (call_state("ok"), call_state("waiting"), call_state("new")) == ("", "Waiting for a person", "")
    assert [file_size(size) for size in (999, 12_400, 3_600_000, 2_000 * 2**20)] == [
        "999 bytes",
        "12 kB",
        "3.4 MB",
        "2.0 GB",
    ]


def test_tools_are_named_once() -> None:
    assert check_options(TurnOptions(tools=["a", "b", "a"])).tools == ["a", "b"]
    assert check_options(TurnOptions(tools=[])).tools == []
    assert check_options(TurnOptions()).tools is None


def test_metrics_have_few_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("tool_calls", "_known"):
        monkeypatch.setattr(tool_metrics, name, type(getattr(tool_metrics, name))())
    for number in range(tool_metrics.TOOLS + 5):
        tool_metrics.count_tool_call("", f"tool_{number}", "ok", 0.2)
    tool_metrics.count_tool_call("", "tool_1", "error")
    assert tool_metrics.tool_calls["own", "tool_1", "error"] == 1
    assert tool_metrics.tool_calls["other", "other", "ok"] == 5
    assert len({key[:2] for key in tool_metrics.tool_calls}) == tool_metrics.TOOLS + 1
