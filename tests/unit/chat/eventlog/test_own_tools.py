"""What people read of our own tools: each has a title and a description that catalogues translate."""

from __future__ import annotations

import pytest

from chat.eventlog import own_tools
from chat.eventlog.own_tools import TEXTS, description_of, title_of
from workers.tools.own import OWN_TOOLS


def test_every_tool_of_our_own_is_there_with_the_title_that_its_calls_store() -> None:
    assert {tool.name: tool.title for tool in OWN_TOOLS} == {name: title for name, (title, _) in TEXTS.items()}


def test_only_our_own_tools_are_translated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_tools, "_", str.upper)
    assert title_of("", "calculate", "Calculator") == "CALCULATOR"
    assert title_of("office", "calculate", "Calculator") == "Calculator"
    assert title_of("", "unknown", "") == "unknown"
    assert description_of("", "calculate", "Use it for every calculation.") == "CALCULATES EXACTLY."
    assert description_of("office", "mail", "Sends\na mail.\n\nOnly when asked.") == "Sends a mail."
