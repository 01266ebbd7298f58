"""What Daphne's socket does for each connection and each read."""

from __future__ import annotations

import pprint
from typing import Any

import click
import pytest
from twisted.internet.testing import StringTransport

from config.web.websocket import DirectFactory
from tests.fixtures import web_server  # noqa: F401  # before Autobahn's reactor is chosen

UPGRADE = (
    b"GET /ws/ HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


class _Transport(StringTransport):  # type: ignore[misc]  # twisted is untyped in parts
    def setTcpNoDelay(self, _: bool) -> None:  # noqa: N802 -- Twisted's
        pass


def test_nothing_is_formatted_for_a_log_that_nobody_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("formatted")

    monkeypatch.setattr(click, "style", refuse)
    monkeypatch.setattr(pprint.PrettyPrinter, "pformat", refuse)
    protocol = DirectFactory(None).buildProtocol(None)
    protocol.onConnect = protocol.onOpen = lambda *_: None
    protocol.makeConnection(_Transport())
    protocol.dataReceived(UPGRADE)
    assert protocol.transport.value().startswith(b"HTTP/1.1 101 ")


def test_what_is_written_while_a_connection_closes_is_dropped_without_an_error() -> None:
    """Otherwise whoever closes, or is closed, in the middle of an answer fills the log with tracebacks."""
    protocol = DirectFactory(None).buildProtocol(None)
    protocol.onConnect = protocol.onOpen = lambda *_: None
    protocol.makeConnection(_Transport())
    protocol.dataReceived(UPGRADE)
    protocol.sendMessage(b"before")
    protocol.sendClose(code=4429)
    written = protocol.transport.value()
    protocol.sendMessage(b"after")
    assert protocol.transport.value() == written
