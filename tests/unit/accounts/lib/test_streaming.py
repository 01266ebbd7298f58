"""Downloads: made while they are sent."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.handlers.asgi import ASGIRequest
from django.test import RequestFactory

from accounts.lib.streaming import escape_formula, stream_file

SCOPE = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""}


class Making:
    """Notes what was made so far."""

    def __init__(self) -> None:
        self.made: list[str] = []

    def pieces(self) -> Iterator[str]:
        for piece in ("ä", "b", "c"):
            self.made.append(piece)
            yield piece


async def test_under_asgi_nothing_is_made_before_it_is_taken() -> None:
    making = Making()
    response: Any = stream_file(ASGIRequest(SCOPE, io.BytesIO()), "a.json", "application/json", making.pieces())
    taken = [(piece.decode(), len(making.made)) async for piece in response]
    assert taken == [("ä", 1), ("b", 2), ("c", 3)]


def test_a_name_from_outside_stays_a_name() -> None:
    name = 'a"; filename="b\r\nX: y.json'
    response = stream_file(RequestFactory().get("/"), name, "application/json", Making().pieces())
    assert b"".join(response) == "äbc".encode()
    assert "\r" not in response["Content-Disposition"]
    assert response["Content-Disposition"].startswith("attachment; filename")


@pytest.mark.parametrize(
    "cell", ["=1", "+1", "-1", "@x", "\t=1", "\r=1", "\n=1", "\uff1d1", "\uff0b1", "\uff0d1", "\uff20x"]
)
def test_what_a_spreadsheet_computes_is_kept_from_it(cell: str) -> None:
    assert escape_formula(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", ["1=1", "a@b.example", "", -1, None])
def test_other_cells_stay(cell: object) -> None:
    assert escape_formula(cell) == cell
