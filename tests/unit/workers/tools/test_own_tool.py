"""How a frozen dataclass becomes a tool, and what a model reads about wrong arguments."""

from __future__ import annotations

import asyncio
import time
import uuid
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pytest
from msgspec import Meta
from structlog.testing import capture_logs

from workers.tools.base import MAX_OUTPUT_CHARS, ToolContext, ToolError, ToolResult
from workers.tools.own_tool import TOO_SLOW, own_tool


@dataclass(frozen=True, slots=True)
class Area:
    unit: Literal["m2", "ha"] = "m2"


@dataclass(frozen=True, slots=True)
class FindPlaces:
    """Finds places.

    By their names.
    """

    query: Annotated[str, Meta(description="Words of the name.", min_length=1)]
    count: Annotated[int, Meta(description="How many.", ge=1, le=20)] = 5
    kind: Annotated[Literal["city", "river"], Meta(description="Which.")] = "city"
    exact: bool = False
    area: Area = Area()

    async def run(self, context: ToolContext) -> ToolResult:
        if self.query == "slow":
            await asyncio.sleep(60)
        return ToolResult("x" * MAX_OUTPUT_CHARS + "y" if self.query == "huge" else f"{self}\x00")


MISSING = (
    "Wrong arguments for find_places: missing parameter query; it has no 'q', only query, count, kind, exact, area."
)
TOOL = own_tool(FindPlaces, title="Find places")


def context(seconds: float = 30.0) -> ToolContext:
    return ToolContext(uuid.uuid4(), uuid.uuid4(), uuid.uuid4(), uuid.uuid4(), time.monotonic() + seconds)


def test_what_a_model_is_told() -> None:
    assert TOOL.name == "find_places"
    assert TOOL.description == "Finds places.\n\nBy their names."
    assert TOOL.parameters == {
        "type": "object",
        "required": ["query"],
        "additionalProperties": False,
        "properties": {
            "query": {"type": "string", "description": "Words of the name.", "minLength": 1},
            "count": {"type": "integer", "description": "How many.", "minimum": 1, "maximum": 20, "default": 5},
            "kind": {"type": "string", "description": "Which.", "enum": ["city", "river"], "default": "city"},
            "exact": {"type": "boolean", "default": False},
            "area": {
                "type": "object", "title": "Area", "required": [],
                "properties": {"unit": {"type": "string", "enum": ["ha", "m2"], "default": "m2"}},
            },
        },
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({}, "Wrong arguments for find_places: missing parameter query."),
        ({"query": 3}, "Wrong arguments for find_places: query: expected text, got whole number."),
        ({"query": None}, "Wrong arguments for find_places: query: expected text, got null."),
        ({"query": ""}, "Wrong arguments for find_places: query: expected text of length >= 1."),
        ({"query": "x", "count": "many"}, "Wrong arguments for find_places: count: expected whole number, got text."),
        ({"query": "x", "count": 99}, "Wrong arguments for find_places: count: expected whole number <= 20."),
        ({"query": "x", "kind": "sea"},
         "Wrong arguments for find_places: kind: invalid enum value 'sea'; allowed are city, river."),
        ({"query": ["a"]}, "Wrong arguments for find_places: query: expected text, got array."),
        ({"q": "x"}, MISSING),
    ],
)  # fmt: skip
async def test_wrong_arguments(arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ToolError) as caught:
        await TOOL.run(arguments, context())
    assert caught.value.sentence == sentence


async def test_arguments_that_models_write_differently() -> None:
    given = {"query": "Rome", "count": "7", "exact": "true", "kind": None}
    result = await TOOL.run(given, context())
    assert result.text == str(FindPlaces("Rome", 7, "city", True))  # without the null byte, which no row can hold


async def test_a_parameter_that_the_tool_does_not_have_is_ignored_and_noted() -> None:
    with capture_logs() as logs:
        result = await TOOL.run({"query": "Rome", "reason\x00": "x" * 10**6, "n" * 100: None}, context())
    assert result.text == str(FindPlaces("Rome"))
    [note] = logs
    assert (note["event"], note["tool"]) == ("tool_arguments_ignored", "find_places")
    assert note["parameters"] == 2, "their names are what a model wrote"


async def test_a_call_ends_at_its_deadline() -> None:
    with pytest.raises(ToolError) as caught:
        await TOOL.run({"query": "slow"}, context(0.05))
    assert caught.value.sentence == TOO_SLOW


async def test_a_long_result_is_cut() -> None:
    result = await TOOL.run({"query": "huge"}, context())
    assert len(result.text) == MAX_OUTPUT_CHARS
    assert result.text.endswith("too long.]")


def test_a_tool_that_writes_asks_first_unless_it_says_otherwise() -> None:
    assert own_tool(FindPlaces, title="Find places").approval == "never"
    assert own_tool(FindPlaces, title="Find places", effect="writes").approval == "ask"
    assert own_tool(FindPlaces, title="Find places", effect="writes", approval="always").approval == "always"
