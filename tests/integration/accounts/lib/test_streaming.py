"""Downloads: a client that reads slowly holds no connection of the pool, which all users share."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
from django.core.handlers.asgi import ASGIRequest
from django.db import connection

from accounts.lib.streaming import stream_file
from accounts.models import User


@pytest.mark.django_db(transaction=True)
async def test_no_connection_is_kept_between_two_pieces() -> None:
    free = []

    def pieces() -> Iterator[str]:
        for _ in range(3):
            free.append(connection.connection is None)
            User.objects.exists()
            yield "x"
        free.append(connection.connection is None)

    request = ASGIRequest({"type": "http", "method": "GET", "path": "/", "headers": []}, io.BytesIO())
    response = stream_file(request, "x.txt", "text/plain", pieces())
    assert b"".join([piece async for piece in response]) == b"xxx"
    assert free[1:] == [True] * 3
