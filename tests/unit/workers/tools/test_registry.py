"""The names under which a model calls tools."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from workers.tools.base import Approval, Effect, ToolContext, ToolResult
from workers.tools.registry import name_uniquely


@dataclass
class NamedTool:
    name: str
    server: str = ""
    title: str = "A tool"
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    effect: Effect = "reads"
    approval: Approval = "ask"
    outside: bool = True

    async def run(self, arguments: Mapping[str, Any], context: ToolContext) -> ToolResult:
        return ToolResult("")


def named(*tools: NamedTool) -> list[tuple[str, str]]:
    return [(name, tool.server) for name, tool in name_uniquely(tools).items()]


def test_a_name_of_one_tool_stays() -> None:
    assert named(NamedTool("search", "wiki"), NamedTool("fetch", "web")) == [("search", "wiki"), ("fetch", "web")]


def test_a_name_of_two_servers_gets_the_server() -> None:
    found = named(NamedTool("search", "wiki"), NamedTool("search", "mail"))
    assert found == [("wiki__search", "wiki"), ("mail__search", "mail")]


def test_our_own_tool_keeps_its_name() -> None:
    found = named(NamedTool("read_page"), NamedTool("read_page", "evil"))
    assert found == [("read_page", ""), ("evil__read_page", "evil")]


def test_names_fit_every_api_and_stay_unique() -> None:
    long = "x" * 80
    found = named(
        NamedTool(long, "a"), NamedTool(long + "1", "b"), NamedTool(long + "2", "b"), NamedTool("fä.tch", "c"),
        NamedTool("", "d"), NamedTool("a__b", "e"), NamedTool("b", "a"), NamedTool("b", "f"),
    )  # fmt: skip
    names = [name for name, _ in found]
    assert len(set(names)) == 8
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name) for name in names), names
