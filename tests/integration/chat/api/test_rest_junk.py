"""Operations of the REST API with values that no client should send: each is refused with a reason, and none fails.

Fixed trials, a sample of all; `FUZZ=all` runs every one.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.fixtures.api_tokens import add_token
from tests.fuzzing import some
from tests.integration.chat.api.rest_client import FULL, rest
from tests.integration.chat.api.test_rest_grid import objects
from tests.stack import Stack

pytestmark = [
    pytest.mark.integration, pytest.mark.timeout(600), pytest.mark.usefixtures(objects.__name__),
]  # fmt: skip

NAMES = {"conversation_id": "conversation", "message_id": "question", "run_id": "run", "file_id": "file",
         "upload_id": "upload", "user_id": "nobody"}  # fmt: skip
TEXTS = ("", "a\0b", "\ud800", "9" * 400, "-1", "9999-12-31", "0001-01-01", "=1\r\nX: y", "Y3Vyc29y", "MH4")
VALUES: tuple[Any, ...] = (
    "", "a\0b", "\ud800", "9" * 400, "x" * 70_000, None, True, -1, 10**30, 0.5, [], {}, ["a\0"], [None],
    [str(uuid.UUID(int=7))] * 300,
)  # fmt: skip
# Bodies that are no JSON, or none that Python writes.
BODIES = (
    b"", b"null", b"[]", b'"x"', b"{", b"[" * 60_000, b'{"text": NaN}', b'{"text": "a", "text": ["b"]}', b"\xff\xfe{}",
    b'{"options": {"temperature": NaN, "max_tokens": 1e999}, "text": "x"}', b'{"name": "x", "size": 1e999}',
    b'{"options": {"temperature": Infinity}, "text": "x"}', b'{"text": "\\ud800\\u0000"}',
    b'{"text": ' + b"9" * 5_000 + b"}",
)  # fmt: skip
GOOD = {
    "text": "hello", "title": "T", "email": "x@example.org", "role": "viewer", "name": "n.txt", "size": 3, "ask": False,
}  # fmt: skip
Trial = tuple[str, str, dict[str, Any]]


def fields_of(document: dict[str, Any], operation: dict[str, Any]) -> dict[str, Any]:
    """The names of the fields of a body, and those of the objects in it."""
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if not content:
        return {}

    def resolve(schema: dict[str, Any]) -> dict[str, Any]:
        for one in (schema, *schema.get("anyOf", ())):
            if "$ref" in one:
                found: dict[str, Any] = document["components"]["schemas"][one["$ref"].rsplit("/", 1)[1]]["properties"]
                return found
        return {}

    found = resolve(content["schema"])
    return {name: resolve(schema) for name, schema in found.items()}


def bodies(fields: dict[str, Any], good: dict[str, Any]) -> Iterator[Any]:
    for name, inner in fields.items():
        yield from ({**good, name: value} for value in VALUES)
        yield from ({**good, name: {below: value}} for below in inner for value in VALUES[1:])


def trials_of(document: dict[str, Any], operation: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Requests of one operation, as `httpx` takes them."""
    fields = fields_of(document, operation)
    good = {name: GOOD[name] for name in fields if name in GOOD}
    yield from ({"content": json.dumps(body).encode()} for body in bodies(fields, good))
    yield from ({"content": body} for body in BODIES if fields)
    for parameter in operation.get("parameters", ()):
        name, where = parameter["name"], parameter["in"]
        for text in TEXTS if where == "query" else ():
            yield {"params": f"{name}={quoted(text)}"}
        for text in ("a b", "x" * 300, "\x7f", "a") if where == "header" else ():
            yield {"headers": {name: text}, "content": json.dumps(good)}


def quoted(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode("utf-8", "surrogatepass"))


def every_trial(document: dict[str, Any], objects: dict[str, str]) -> Iterator[Trial]:
    for path, methods in document["paths"].items():
        place = path.removeprefix("/api/v1/")
        for name, own in NAMES.items():
            place = place.replace(f"{{{name}}}", objects[own])
        for method in methods.keys() - {"delete"}:
            yield from ((method, place, trial) for trial in trials_of(document, methods[method]))


def what_is_wrong(said: httpx.Response) -> str:
    """Nothing if the request was carried out, or refused with a reason."""
    if said.is_success:
        return ""
    error = said.json().get("error", {}) if "json" in said.headers.get("content-type", "") else {}
    if said.status_code < 500 and error.get("code") and error.get("message"):
        return ""
    return f"{said.status_code} {said.text[:200]}"


def test_no_operation_fails(stack: Stack, objects: dict[str, str]) -> None:
    """A new token for every 40 requests: one has a rate of its own."""
    failed: dict[str, str] = {}
    statuses: list[int] = []
    with rest(stack) as client:
        document = client.get("openapi.json").json()
        always: list[Trial] = [
            ("patch", f"conversations/{objects['conversation']}", {"content": b'{"title": "\\ud800"}'}),
            ("post", "uploads", {"content": b'{"name": "x", "size": 1e999}'}),
            ("post", "conversations", {"content": b'{"text": "\\ud800\\u0000"}'}),
        ]
        trials = [*always, *some(every_trial(document, objects), 120)]
        for number, (method, place, trial) in enumerate(trials):
            if number % 40 == 39:
                client.headers["Authorization"] = f"Bearer {add_token(stack, scopes=FULL)}"
            said = client.request(method, place, **trial)
            statuses.append(said.status_code)
            if wrong := what_is_wrong(said):
                failed.setdefault(f"{method} {place}", f"{str(trial)[:200]} {wrong}")
    assert failed == {}
    assert statuses.count(429) < len(trials) / 3, "limits by user come before what is tried"
