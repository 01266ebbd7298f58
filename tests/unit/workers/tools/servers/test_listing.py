"""Names, texts and schemas of servers, made safe to store."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.tools.servers.listing import MAX_NOTES, MAX_TOOLS, Offered, clean, tidy
from workers.tools.servers.schemas import MAX_SCHEMA_CHARS, BadSchemaError, tidy_schema


def offer(name: str, schema: Any = None, **more: Any) -> Offered:
    return Offered(name, name, more.pop("description", ""), {"type": "object"} if schema is None else schema, **more)


@given(st.lists(st.text(max_size=90), max_size=12))
def test_names_can_be_called_and_differ(names: list[str]) -> None:
    tools, _ = tidy([offer(name) for name in names], {})
    assert all(re.fullmatch("[a-zA-Z0-9_-]{1,64}", one.name) for one in tools)
    assert len({one.name for one in tools}) == len(tools)
    again, _ = tidy([offer(name) for name in reversed(names)], {one.upstream: one.name for one in tools})
    assert {one.upstream: one.name for one in again} == {one.upstream: one.name for one in tools}, "they are stable"


def test_odd_names_and_duplicates() -> None:
    tools, notes = tidy(
        [offer("wetter/heute ☀"), offer("a" * 80), offer("x"), offer("x"), offer("\x1b[2J"), offer("")], {}
    )
    assert [one.name for one in tools] == ["wetter_heute", "a" * 64, "x"]
    assert notes[0] == "x is listed twice: the second was skipped."
    assert len(notes) == 3


def test_too_many_tools_and_too_many_notes() -> None:
    tools, notes = tidy([offer(f"t{number}") for number in range(MAX_TOOLS + 5)], {})
    assert len(tools) == MAX_TOOLS
    assert notes == [f"It lists more than {MAX_TOOLS} tools: the others were skipped."]
    _, notes = tidy([offer(f"t{number}", schema=[]) for number in range(100)], {})
    assert len(notes) == MAX_NOTES


def test_texts_without_what_nobody_sees() -> None:
    assert clean("a\x1b[31m\u200bb\u202ec\U000e0041\n", 10) == "a[31mbc"
    tools, notes = tidy([offer("t", description="x" * 5000)], {})
    assert len(tools[0].description) == 4000
    assert notes == ["The description of t was cut after 4000 characters."]


@pytest.mark.parametrize(
    "schema",
    [
        None, [], "object", {"type": "string"}, {"type": "object", "properties": []},
        {"type": "object", "required": "a"},
        {"type": "object", "properties": {"a": {"type": "colour"}}},
        {"type": "object", "properties": {"a": {"$ref": "https://example.com/schema"}}},
        {"type": "object", "properties": {"a": {"$ref": "#/nowhere"}}},
        {"type": "object", "properties": {"a": {"enum": ["y" * 1000] * 40}}},
    ],
)  # fmt: skip
def test_schemas_that_cannot_be_used(schema: Any) -> None:
    with pytest.raises(BadSchemaError):
        tidy_schema(schema)


def test_references_are_resolved_and_circles_cut() -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}, "name": {"type": "string"}}}
    found = tidy_schema({"type": "object", "properties": {"first": {"$ref": "#/$defs/node"}}, "$defs": {"node": node}})
    first = found["properties"]["first"]
    assert first["properties"]["name"] == {"type": "string"}
    assert first["properties"]["next"] == {"description": "The same structure again."}
    assert "$ref" not in json.dumps(found)


def test_schemas_that_grow_without_end_are_refused() -> None:
    levels = {
        f"l{n}": {"type": "object", "properties": {k: {"$ref": f"#/$defs/l{n + 1}"} for k in "abcd"}} for n in range(12)
    }
    levels["l12"] = {"type": "string"}
    with pytest.raises(BadSchemaError, match="too large"):
        tidy_schema({"type": "object", "properties": {"a": {"$ref": "#/$defs/l0"}}, "$defs": levels})
    deep: dict[str, Any] = {}
    for _ in range(3000):
        deep = {"type": "object", "properties": {"a": deep}}
    with pytest.raises(BadSchemaError):
        tidy_schema(deep)
    assert MAX_SCHEMA_CHARS < 100_000
