"""What an MCP server asks the person in the middle of a call, and their answer in its words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import mcp_types as types

from accounts.lib.urls import is_http, split_url
from workers.tools.base import Question
from workers.tools.servers.listing import shorten
from workers.tools.servers.schemas import BadSchemaError, tidy_schema

MAX_SENTENCE_CHARS: Final = 1000


def question_of(params: types.ElicitRequestParams, title: str) -> Question | None:
    """The question for the person; None: it cannot be asked."""
    sentence = shorten(params.message, MAX_SENTENCE_CHARS)
    if isinstance(params, types.ElicitRequestURLParams):
        try:
            allowed = is_http(split_url(params.url)) and len(params.url) <= 2000
        except ValueError:
            allowed = False
        asked = f"{title} asks you to open {params.url} and to continue here after that. {sentence}"
        return Question(asked, {"type": "object", "properties": {}}) if allowed else None
    schema: Any = params.requested_schema
    if not isinstance(schema, Mapping):
        schema = schema.model_dump(by_alias=True, mode="json", exclude_none=True)
    try:
        return Question(f"{title} asks: {sentence}", tidy_schema(schema))
    except BadSchemaError:
        return None


def answer_of(params: types.ElicitRequestParams, answer: Mapping[str, Any]) -> types.ElicitResult:
    """The answer of a person, with only the fields that were asked for and values of the allowed types."""
    if isinstance(params, types.ElicitRequestURLParams):
        return types.ElicitResult(action="accept")
    schema: Any = params.requested_schema
    if not isinstance(schema, Mapping):
        schema = schema.model_dump(by_alias=True, mode="json", exclude_none=True)
    names = schema.get("properties", {})
    content = {name: value for name, value in answer.items() if name in names and _allowed(value)}
    return types.ElicitResult(action="accept", content=content)


def _allowed(value: Any) -> bool:
    if isinstance(value, list):
        return all(isinstance(one, str) for one in value)
    return value is None or isinstance(value, str | int | float | bool)
