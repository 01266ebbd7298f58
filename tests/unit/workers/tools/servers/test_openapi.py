"""OpenAPI documents as tools: what their operations become, and the requests that calls make."""

from __future__ import annotations

import json
import uuid
from typing import Any

import httpx2
import pytest

from workers.tools.base import ToolError
from workers.tools.servers.listing import Offered, tidy
from workers.tools.servers.openapi.calling import build_request, convert_response
from workers.tools.servers.openapi.document import BadDocumentError, base_url, operations, read_document
from workers.tools.servers.stored import StoredServer

YAML = """
openapi: 3.0.3
info: {title: Pets, version: 2024-01-02}
servers:
  - url: https://{where}.example/v1
    variables: {where: {default: api}}
paths:
  /pets/{id}:
    parameters:
      - {name: id, in: path, required: true, schema: {type: string}}
    get:
      operationId: getPet
      summary: Read a pet
      parameters:
        - $ref: '#/components/parameters/Fields'
        - {name: X-Trace, in: header, schema: {type: string}}
    put:
      operationId: pet.update
      requestBody:
        required: true
        content:
          application/json:
            schema: {$ref: '#/components/schemas/Pet'}
    delete: {deprecated: true}
  /pets:
    get: {parameters: [{name: age, in: query, schema: {type: integer, minimum: 0, exclusiveMinimum: true}}]}
    post: {requestBody: {required: true, content: {image/png: {}}}}
  /things/{lost}:
    get: {}
components:
  parameters:
    Fields: {name: fields, in: query, schema: {type: array, items: {type: string}}}
  schemas:
    Pet:
      type: object
      properties:
        name: {type: string, nullable: true, example: Rex}
        example: {type: boolean}
        mother: {$ref: '#/components/schemas/Pet'}
"""


def stored(**more: Any) -> StoredServer:
    given: dict[str, Any] = {
        "id": uuid.uuid4(), "slug": "pets", "title": "Pets", "kind": "openapi", "address": "https://api.example/v1",
        "auth": "headers", "trusted": True, "timeout": 20.0, "owner_id": None,
        "headers": {"Authorization": "Bearer s3cret-token"},
    }  # fmt: skip
    return StoredServer(**{**given, **more})


@pytest.fixture
def offered() -> dict[str, Offered]:
    notes: list[str] = []
    found = {one.name: one for one in operations(read_document(YAML), notes)}
    assert notes == [
        "POST /pets was skipped: its body is not JSON.",
        "GET /things/{lost} was skipped: its path needs lost, which is not described.",
    ]
    return found


def test_operations_become_tools(offered: dict[str, Offered]) -> None:
    assert set(offered) == {"getPet", "pet.update", "get_/pets"}
    assert offered["getPet"].reads
    assert not offered["pet.update"].reads
    assert offered["getPet"].title == "Read a pet"
    tools, notes = tidy(offered.values(), {})
    assert [one.name for one in tools] == ["getPet", "pet_update", "get__pets"]
    assert notes == []
    pet = offered["pet.update"].schema["properties"]["body"]
    assert pet["properties"]["name"] == {"type": ["string", "null"]}
    assert pet["properties"]["example"] == {"type": "boolean"}, "a property may have any name"
    assert pet["properties"]["mother"] == {"description": "The same structure again."}
    assert offered["get_/pets"].schema["properties"]["age"] == {"type": "integer", "exclusiveMinimum": 0}
    assert sorted(offered["pet.update"].schema["required"]) == ["body", "id"]
    assert offered["getPet"].schema["required"] == ["id"]


def test_requests(offered: dict[str, Offered]) -> None:
    given = {"id": "a/../b?c", "fields": ["name", "a&b"], "X-Trace": "t1", "other": "left out"}
    request = build_request(stored(), offered["getPet"].recipe, given, "key")
    assert str(request.url) == "https://api.example/v1/pets/a%2F..%2Fb%3Fc?fields=name&fields=a%26b"
    assert request.headers["X-Trace"] == "t1"
    assert request.headers["Authorization"] == "Bearer s3cret-token"
    assert "Idempotency-Key" not in request.headers
    request = build_request(stored(), offered["pet.update"].recipe, {"id": 7, "body": {"name": None}}, "key")
    assert request.method == "PUT"
    assert json.loads(request.content) == {"name": None}
    assert request.headers["Idempotency-Key"] == "key"
    assert request.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("given", [{}, {"id": ""}, {"id": ".."}, {"id": "x", "X-Trace": "a\nb"}])
def test_arguments_that_make_no_request(offered: dict[str, Offered], given: dict[str, Any]) -> None:
    with pytest.raises(ToolError):
        build_request(stored(), offered["getPet"].recipe, given, "key")


def test_an_argument_does_not_replace_staffs_header() -> None:
    recipe = {"method": "GET", "path": "/", "places": {"a": {"in": "header", "name": "authorization"}}}
    request = build_request(stored(), recipe, {"a": "mine"}, "key")
    assert request.headers.get_list("Authorization") == ["Bearer s3cret-token"]


@pytest.mark.parametrize(
    ("status", "kind", "body", "text", "failed"),
    [
        (200, "application/json", b'{"a":1}', '{"a":1}', False),
        (204, "", b"", "[It returned nothing.]", False),
        (404, "text/plain", b"none", "HTTP 404\nnone", True),
        (302, "", b"", "HTTP 302: it leads to another address, which was not followed.", True),
        (200, "application/pdf", b"%PDF", "[4 bytes of application/pdf, which are not shown.]", False),
        (200, "text/plain", b"you sent Bearer s3cret-token and s3cret-token", "you sent … and …", False),
    ],
)
def test_responses(status: int, kind: str, body: bytes, text: str, failed: bool) -> None:
    response = httpx2.Response(status, headers={"Content-Type": kind} if kind else {}, content=body)
    result = convert_response(stored(), response)
    assert (result.text, result.failed) == (text, failed)


@pytest.mark.parametrize("charset", ["zip", "base64", "hex", "idna", "undefined", "rot13", "utf-16", "no-such"])
def test_a_response_with_a_charset_that_is_none(charset: str) -> None:
    headers = {"Content-Type": f"text/plain; charset={charset}"}
    assert convert_response(stored(), httpx2.Response(200, headers=headers, content=b"plain!")).text in (
        "plain!",
        "\u6c70\u6961\u216e",
    )


def test_where_the_paths_begin() -> None:
    document = read_document(YAML)
    assert base_url(document, "", "https://docs.example/openapi.yaml") == "https://api.example/v1"
    assert base_url(document, "http://10.0.0.1/x/", "") == "http://10.0.0.1/x"
    assert base_url({"servers": [{"url": "/v2"}]}, "", "https://a.example/docs/api.json") == "https://a.example/v2"
    with pytest.raises(BadDocumentError, match="enter the address"):
        base_url({}, "", "")


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{", "a: [", "swagger: '2.0'\npaths: {}", "openapi: 4.0.0\npaths: {}", "openapi: 3.1.0",
        "openapi: 3.1.0\npaths: {}\na: &a [1]\nb: *a", "!!python/object/apply:os.system [id]", "[" * 5000,
    ],
)  # fmt: skip
def test_documents_that_cannot_be_used(text: str) -> None:
    with pytest.raises(BadDocumentError):
        read_document(text)


def test_references_to_other_documents_and_circles_are_refused() -> None:
    paths = {
        "/a": {"get": {"parameters": [{"$ref": "https://evil.example/p.json"}]}},
        "/b": {"get": {"parameters": [{"$ref": "#/x/b"}]}},
        "/c": {"get": {"parameters": "none"}},
        "no": {"get": {}},
        "/d": [],
    }
    notes: list[str] = []
    found = operations({"paths": paths, "x": {"b": {"$ref": "#/x/b"}}}, notes)
    assert [one.name for one in found] == ["get_/c"]
    assert notes[0] == "GET /a was skipped: its schema refers to another document."
    assert notes[1] == "GET /b was skipped: its references go in a circle."
