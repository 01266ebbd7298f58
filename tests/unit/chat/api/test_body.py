"""A body is parsed where that costs little, and on a thread; what was made to be costly is refused before."""

from __future__ import annotations

import base64
import json
import threading
import uuid
from typing import Any

import pytest
from django.test import RequestFactory
from ninja.errors import HttpError

from accounts.auth.api_tokens import TokenAccess
from accounts.lib.json_bounds import TooManyValuesError
from accounts.scim.errors import ScimError
from accounts.views.scim import _read_body
from chat.api import endpoint
from chat.api.body import BODY_FACTOR, parse_body
from chat.api.errors import ApiError, invalid
from chat.api.rest.answers import _of_http_error
from chat.api.rest.application import api

MOST = 400 * 1024  # API_MAX_KB by default


def filled(unit: str, size: int) -> bytes:
    return ('{"messages": [' + unit * (size // len(unit)) + "0]}").encode()


def image(size: int) -> dict[str, Any]:
    return {
        "type": "image_url",
        "image_url": {"url": "data:image/png;base64," + base64.b64encode(bytes(size)).decode()},
    }


@pytest.mark.parametrize(
    "unit", ["[],", "{},", "[[[[]]]],", '{"":0},', '{"role":"user"},', "[" * 100 + "]" * 100 + ",", "0,", '"",']
)
@pytest.mark.parametrize("size", [MOST * 6, 12 * 2**20])
def test_many_values_are_not_parsed(unit: str, size: int) -> None:
    with pytest.raises(ApiError) as refused:
        parse_body(filled(unit, size), MOST)
    assert (refused.value.status, refused.value.code) == (413, "too_large")


@pytest.mark.parametrize(
    "text",
    [
        "a" * MOST,
        "\x01" * (MOST - 100),  # six bytes each in JSON
        "ы" * (MOST // 2),
        "1," * (MOST // 2 - 100),  # a table
        json.dumps([{"id": 1000 + number, "name": f"name {number}"} for number in range(MOST // 40)]),
        "[1, 2, 3, 4], " * (MOST // 14),
    ],
    ids=["plain", "controls", "cyrillic", "table", "objects", "lists"],
)
def test_each_text_that_fits_is_parsed(text: str) -> None:
    assert len(text.encode()) <= MOST
    body = {"messages": [{"role": "user", "content": text}]}
    assert parse_body(json.dumps(body).encode(), MOST) == body
    assert parse_body(json.dumps(body, ensure_ascii=False).encode(), MOST) == body


def test_images_take_their_own_room() -> None:
    body = {"messages": [{"role": "user", "content": [image(3 * 2**20) for _ in range(3)]}]}
    assert parse_body(json.dumps(body).encode(), MOST) == body


@pytest.mark.parametrize("around", ["{}", ";base64,{}", ';base64,"{}', "{};base64,"])
def test_the_room_of_images_is_not_for_texts(around: str) -> None:
    """What is called an image ends with its quotation mark."""
    text = json.dumps({"messages": around.replace("{}", "\x01" * (MOST * (BODY_FACTOR + 1) // 6))}).encode()
    if around == ";base64,{}":
        text = text.replace(b";base64,", b';base64,","x":"')
    with pytest.raises(ApiError) as refused:
        parse_body(text, MOST)
    assert refused.value.code == "too_large"


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b'"x"', b"\xff", b"[" * 50_000, b";base64,[1,2"])
def test_what_is_no_object(raw: bytes) -> None:
    with pytest.raises(ApiError) as refused:
        parse_body(raw, MOST)
    assert (refused.value.status, refused.value.code) == (400, "invalid_json")


MANY = b'{"text": [' + b"[]," * 200_000 + b"0]}"


def test_the_rest_api_parses_no_more() -> None:
    request = RequestFactory().post("/api/v1/conversations", MANY, content_type="application/json")
    with pytest.raises(TooManyValuesError) as refused:
        api.parser.parse_body(request)
    error = HttpError(400, "Cannot parse request body")
    error.__cause__ = refused.value
    assert (_of_http_error(error).status, _of_http_error(error).code) == (413, "too_large")


def test_nor_does_scim() -> None:
    request = RequestFactory().post("/scim/v2/Users", MANY, content_type="application/json")
    with pytest.raises(ScimError) as refused:
        _read_body(request)
    assert refused.value.status == 413


async def test_a_request_is_read_on_another_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading tens of thousands of messages takes Python a third of a second: sockets must not wait for it."""
    read_on: list[threading.Thread] = []

    def read(_body: Any, _most_bytes: int) -> Any:
        read_on.append(threading.current_thread())
        raise invalid("Enough.")

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"{}"}

    async def send(_message: dict[str, Any]) -> None:
        raise AssertionError

    monkeypatch.setitem(endpoint._READERS, "responses", read)
    access = TokenAccess.__new__(TokenAccess)
    with pytest.raises(ApiError, match="Enough"):
        await endpoint._ask({"headers": [], "id": uuid.uuid4()}, receive, send, access, "", "responses")
    assert read_on != [threading.current_thread()]
