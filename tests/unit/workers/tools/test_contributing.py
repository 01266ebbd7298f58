"""The example of CONTRIBUTING.md is a tool that works."""

from __future__ import annotations

import re
import sys
import time
import types
import uuid
from pathlib import Path

import pytest

from workers.tools.base import ToolContext, ToolError

TEXT = (Path(__file__).parents[4] / "CONTRIBUTING.md").read_text()


async def test_the_example_of_a_tool(monkeypatch: pytest.MonkeyPatch) -> None:
    found = re.search(r"## A tool\n.*?```python\n(.*?)```", TEXT, re.DOTALL)
    assert found is not None
    assert len(found[1].splitlines()) <= 30
    module = types.ModuleType("count_words")
    monkeypatch.setitem(sys.modules, "count_words", module)
    exec(compile(found[1], "CONTRIBUTING.md", "exec"), module.__dict__)  # noqa: S102 -- the example itself
    tool, ids = module.TOOL, (uuid.uuid4(), uuid.uuid4(), uuid.uuid4(), uuid.uuid4())
    context = ToolContext(*ids, deadline=time.monotonic() + 50)
    assert tool.name == "count_words"
    assert tool.parameters["required"] == ["text"]
    assert (await tool.run({"text": "one two three"}, context)).text == "3 words"
    with pytest.raises(ToolError, match="unit: invalid"):
        await tool.run({"text": "x", "unit": "lines"}, context)
    with pytest.raises(ToolError, match="empty"):
        await tool.run({"text": " "}, context)
