"""The form of an answer and logprobs, as requests ask for them; and that no parameter of OpenAI's is forgotten."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from openai.types.chat import completion_create_params
from openai.types.responses import response_create_params

from chat.api import completions, responses
from chat.api.errors import ApiError
from chat.protocol.functions import FORM, MOST_SCHEMA_BYTES
from chat.runs.exact_request import read_exact
from chat.runs.token_probabilities import tokens_of

MOST = 400 * 1024
SCHEMA: Any = {"type": "object", "properties": {"town": {"type": "string"}}}
NAMED: Any = {"name": "town", "schema": SCHEMA, "strict": True}
ASKED: Any = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
DOCUMENT = Path(__file__).parents[4] / "docs" / "api.md"


def read(**fields: Any) -> Any:
    return completions.read_request({**ASKED, **fields}, MOST)


def test_a_form_is_the_last_turn_which_rules_read() -> None:
    asked = read(response_format={"type": "json_schema", "json_schema": {**NAMED, "description": "A town."}})
    *_, (role, text) = asked.turns
    assert role == FORM
    assert json.loads(text) == {"description": "A town.", "schema": SCHEMA, "strict": True}
    rows = [["user", "hi"], [role, text, [], list(asked.notes[1])]]
    found = read_exact(rows)
    assert found.path == [("user", "hi")]
    assert found.form is not None
    assert (found.form.name, found.form.schema, found.form.strict) == ("town", SCHEMA, True)


def test_json_of_any_form_and_text() -> None:
    found = read_exact([[*turn, [], ["", "json"]] for turn in read(response_format={"type": "json_object"}).turns])
    assert found.form is not None
    assert found.form.schema is None
    assert read(response_format={"type": "text"}).turns == [("user", "hi")]


def test_a_response_repeats_its_form() -> None:
    shape = {"type": "json_schema", **NAMED}
    asked = responses.read_request({"model": "m", "input": "hi", "text": {"format": shape}}, MOST)
    assert asked.echoed["text"] == {"format": {**shape, "description": ""}}
    assert asked.form_name == "text.format"


@pytest.mark.parametrize(
    ("form", "param"),
    [
        ("json", "response_format"),
        ({"type": "json_schema"}, "response_format.json_schema"),
        ({"type": "json_schema", "json_schema": {"schema": SCHEMA}}, "response_format.json_schema.name"),
        ({"type": "json_schema", "json_schema": {"name": "a b", "schema": SCHEMA}}, "response_format.json_schema.name"),
        ({"type": "json_schema", "json_schema": {"name": "a"}}, "response_format.json_schema.schema"),
        ({"type": "json_schema", "json_schema": {**NAMED, "strict": 1}}, "response_format.json_schema.strict"),
        (
            {"type": "json_schema", "json_schema": {**NAMED, "schema": {"title": "x" * MOST_SCHEMA_BYTES}}},
            "response_format.json_schema.schema",
        ),
    ],
)
def test_forms_that_cannot_be(form: Any, param: str) -> None:
    with pytest.raises(ApiError) as refused:
        read(response_format=form)
    assert (refused.value.status, refused.value.param) == (400, param)


def test_logprobs() -> None:
    assert read().logprobs is None
    assert read(logprobs=False, top_logprobs=0).logprobs is None
    assert read(logprobs=True).logprobs == 0
    assert read(logprobs=True, top_logprobs=3).logprobs == 3
    for fields in ({"top_logprobs": 2}, {"logprobs": True, "top_logprobs": 21}, {"logprobs": 1}):
        with pytest.raises(ApiError):
            read(**fields)
    for more in ({"top_logprobs": 1}, {"include": ["message.output_text.logprobs"]}):
        with pytest.raises(ApiError) as refused:
            responses.read_request({"model": "m", "input": "hi", **more}, MOST)
        assert (refused.value.code, refused.value.param) == ("unsupported_parameter", next(iter(more)))


def test_only_the_tokens_of_the_text_are_given() -> None:
    def entry(token: str, octets: list[int] | None = None) -> dict[str, Any]:
        return {"token": token, "logprob": -1.0, "bytes": octets, "top_logprobs": []}

    entries = [entry("<think>"), entry(" One"), entry(" \ufffd", [32, 0xC3]), entry("\ufffd", [0xBC]), entry(" end")]
    assert tokens_of("One ü", entries) == entries[1:4]
    assert tokens_of("One ü end", entries) == entries[1:]
    assert tokens_of("One [masked] end", entries) is None


@pytest.mark.parametrize(
    "parameters",
    [
        completion_create_params.CompletionCreateParamsBase.__annotations__,
        response_create_params.ResponseCreateParamsBase.__annotations__,
    ],
    ids=["completions", "responses"],
)
def test_each_parameter_of_openai_s_client_is_documented(parameters: dict[str, Any]) -> None:
    """As honoured, ignored or refused: the tables of docs/api.md name every one."""
    rows = [line for line in DOCUMENT.read_text().splitlines() if line.startswith("|")]
    named = set(re.findall(r"`([a-z_]+)", " ".join(rows)))
    assert set(parameters) <= named, sorted(set(parameters) - named)
