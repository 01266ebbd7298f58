"""Schemas of servers are checked as the standard says, in time that grows with their length alone."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, SchemaError

from workers.tools.servers.listing import MAX_TOOLS, Offered, tidy
from workers.tools.servers.openapi.document import BadDocumentError, base_url, operations, read_document
from workers.tools.servers.schema_check import find_mistake

WORDS = st.sampled_from(
    ["type", "properties", "items", "required", "enum", "anyOf", "minLength", "minimum", "title", "description",
     "additionalProperties", "uniqueItems", "multipleOf", "pattern", "not", "x-own", "dependentRequired", "examples"]
)  # fmt: skip
VALUES: st.SearchStrategy[Any] = st.sampled_from(
    ["string", "object", "colour", "", ["string", "null"], [], ["a", "a"], ["a", 1], 0, -1, 1.5, 2.0, True, None, {},
     [{}], [True], [1], {"a": {"type": "string"}}, {"a": 1}, {"a": ["b"]}]
)  # fmt: skip
SCHEMAS = st.recursive(
    st.dictionaries(WORDS, VALUES, max_size=3),
    lambda inner: st.dictionaries(
        WORDS, st.one_of(VALUES, inner, st.lists(inner, max_size=2), st.dictionaries(st.sampled_from("abc"), inner)),
        max_size=3,
    ),
    max_leaves=6,
)  # fmt: skip


@given(SCHEMAS)
@settings(max_examples=300, deadline=None)
def test_the_verdict_is_the_standard_s(schema: dict[str, Any]) -> None:
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError:
        assert find_mistake(schema), schema
    else:
        assert find_mistake(schema) == "", schema


def test_a_mistake_is_named_by_its_place() -> None:
    schema = {"properties": {"a": {"anyOf": [{"type": "string"}, {"type": "colour"}]}}}
    assert find_mistake(schema) == "properties/a/anyOf/type"


LARGE = {"type": "object", "properties": {f"p{number}": {"type": "string"} for number in range(1000)}}


@pytest.mark.timeout(30)
def test_a_server_with_many_large_tools_is_listed_at_once() -> None:
    """It took 207 s, on the loop on which answers are written and their leases renewed."""
    tools, _ = tidy([Offered(f"t{number}", "", "", LARGE) for number in range(MAX_TOOLS)], {})
    assert len(tools) == MAX_TOOLS


@pytest.mark.timeout(60)
def test_a_document_whose_operations_share_one_large_schema_ends_with_a_note() -> None:
    body = {"requestBody": {"content": {"application/json": {"schema": {"$ref": "#/large"}}}}}
    wide = {"type": "object", "properties": {f"p{number}": {} for number in range(3900)}}  # too long, once read
    paths = {f"/{number}": {"post": body} for number in range(5000)}
    notes: list[str] = []
    document = read_document(json.dumps({"openapi": "3.1.0", "paths": paths, "large": wide}))
    assert operations(document, notes) == []
    assert len(notes) < 200


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-2, 2), st.sampled_from(["", "a", "string", "#/paths", "/"])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2),
        st.dictionaries(
            st.sampled_from(
                ["$ref", "schema", "content", "application/json", "in", "name", "required", "type", "items"]
            ),
            inner,
            max_size=3,
        ),
    ),
    max_leaves=8,
)  # fmt: skip


@given(servers=JSON, variables=JSON, parameters=JSON, body=JSON, item=JSON, summary=JSON)
@settings(max_examples=400, deadline=None)
def test_whatever_a_document_holds_is_refused_in_words(
    servers: Any, variables: Any, parameters: Any, body: Any, item: Any, summary: Any
) -> None:
    operation = {"parameters": parameters, "requestBody": body, "operationId": summary, "summary": summary}
    paths = {
        "/a": {"post": operation, "get": {**operation, "parameters": [parameters]}, "parameters": item},
        "/b": item,
    }
    for found in (servers, [{"url": "https://{host}/", "variables": variables}]):
        document = {"openapi": "3.0.3", "paths": paths, "servers": found}
        operations(document, [])
        with contextlib.suppress(BadDocumentError):
            base_url(document, "", "https://example.org/openapi.json")
