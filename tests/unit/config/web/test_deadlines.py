"""A request has a time by which it must have arrived, however slowly its bytes come, and a greatest size."""

from __future__ import annotations

from collections.abc import Generator
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web import http

from config.web.deadlines import (
    BODY_BYTES_PER_SECOND,
    BODY_SECONDS,
    HEAD_SECONDS,
    LINGER_BYTES,
    LINGER_SECONDS,
    OVERHEAD_BYTES,
    DeadlineChannel,
    DeadlineRequest,
)

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"


class Request(http.Request):  # type: ignore[misc]  # twisted.web is untyped in parts
    def process(self) -> None:
        self.channel.arrived()
        self.content.close()
        self.setHeader(b"content-length", b"2")
        self.write(b"ok")
        self.finish()


class Transport(StringTransport):  # type: ignore[misc]  # as above
    half_closed = False

    def loseWriteConnection(self) -> None:  # noqa: N802 -- Twisted's
        self.half_closed = True


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def channel(clock: Clock) -> Generator[Any, None, None]:
    made = DeadlineChannel()
    made.callLater, made.timeOut, made.requestFactory = clock.callLater, 60, Request
    made.makeConnection(Transport())
    yield made
    made.connectionLost(Failure(ConnectionDone()))


def trickle(channel: Any, clock: Clock, data: bytes, seconds: float) -> float:
    """Sends a byte every `seconds`; after how many seconds the connection is closed."""
    for number in range(len(data)):
        if channel.transport.disconnecting:
            return number * seconds
        channel.dataReceived(data[number : number + 1])
        clock.advance(seconds)
    return len(data) * seconds


@pytest.mark.parametrize(
    "data", [b"GET /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", b"GET / HTTP/1.1\r\nX: aaaaaaaaaaaaaaaaaaaaa"]
)
def test_headers_that_trickle_in_are_cut(channel: Any, clock: Clock, data: bytes) -> None:
    assert trickle(channel, clock, data, 5) == HEAD_SECONDS
    assert channel.transport.value().startswith(b"HTTP/1.1 408 ")


def test_a_connection_that_sends_nothing_is_cut(channel: Any, clock: Clock) -> None:
    clock.advance(HEAD_SECONDS)
    assert channel.transport.disconnecting


def test_a_body_that_trickles_in_is_cut(channel: Any, clock: Clock) -> None:
    channel.dataReceived(HEAD)
    assert trickle(channel, clock, b"x" * 100, 5) == BODY_SECONDS


def test_a_body_that_arrives_at_the_least_rate_is_read(channel: Any, clock: Clock) -> None:
    channel.dataReceived(HEAD)
    for _ in range(1_000_000 // BODY_BYTES_PER_SECOND):
        channel.dataReceived(b"x" * BODY_BYTES_PER_SECOND)
        clock.advance(1)
    channel.dataReceived(b"x" * (1_000_000 % BODY_BYTES_PER_SECOND))
    assert b"200 OK" in channel.transport.value()


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (b"multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n--x--\r\n'),
        (b"application/x-www-form-urlencoded", b"a=b"),
    ],
)
def test_a_form_is_not_read_before_a_view_wants_it(channel: Any, kind: bytes, body: bytes) -> None:
    """On the event loop, where one of 94 MB kept everybody waiting for 17 s."""
    found: list[Any] = []

    class Form(DeadlineRequest):
        def process(self) -> None:
            self.channel.arrived()
            found.append((self.args, self.content.read()))

    server = SimpleNamespace(protocol_connected=lambda _: None, protocol_disconnected=lambda _: None)
    channel.factory, channel.requestFactory = SimpleNamespace(server=server), Form
    channel.dataReceived(
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n" % (kind, len(body))
    )
    channel.dataReceived(body)
    assert found == [({}, body)]


@pytest.fixture
def small(settings: Any) -> None:
    settings.MAX_REQUEST_BYTES = 1000


@pytest.mark.usefixtures("small")
def test_a_body_that_is_said_to_be_too_large_is_refused_unread(channel: Any) -> None:
    channel.dataReceived(HEAD + b"x" * 100)
    assert channel.transport.value().startswith(b"HTTP/1.1 413 ")
    assert channel.transport.half_closed
    channel.dataReceived(b"x" * 1_000_000 + b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert channel.transport.value().count(b"HTTP/1.1 ") == 1, "nothing after it is read"
    assert not channel.transport.disconnecting, "its rest may arrive, so that the client reads the answer"


@pytest.mark.usefixtures("small")
def test_a_client_that_does_not_stop_is_cut(channel: Any, clock: Clock) -> None:
    channel.dataReceived(HEAD)
    clock.advance(LINGER_SECONDS - 0.1)
    assert not channel.transport.disconnecting
    clock.advance(0.1)
    assert channel.transport.disconnecting


@pytest.mark.usefixtures("small")
def test_a_client_that_sends_too_much_is_cut(channel: Any) -> None:
    channel.dataReceived(HEAD)
    channel.dataReceived(b"x" * (1000 + LINGER_BYTES))
    assert not channel.transport.disconnecting
    channel.dataReceived(b"x")
    assert channel.transport.disconnecting


@pytest.mark.usefixtures("small")
def test_a_body_of_unknown_length_ends_at_the_limit(channel: Any) -> None:
    channel.dataReceived(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(20):
        channel.dataReceived(b"1000\r\n" + b"x" * 4096 + b"\r\n")
    assert channel.transport.value().startswith(b"HTTP/1.1 413 ")
    assert channel.requests[0].content.tell() <= 1000 + OVERHEAD_BYTES


@pytest.mark.usefixtures("small")
def test_a_body_of_the_greatest_size_is_read(channel: Any) -> None:
    channel.dataReceived(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n" + b"x" * 1000)
    assert b"200 OK" in channel.transport.value()


def test_a_kept_connection_has_a_deadline_for_its_next_request(channel: Any, clock: Clock) -> None:
    channel.dataReceived(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert channel.transport.value().endswith(b"ok")
    clock.advance(HEAD_SECONDS + 10)
    assert not channel.transport.disconnecting
    assert trickle(channel, clock, b"GET /" + b"a" * 100, 5) == HEAD_SECONDS


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(("path", "size", "status"), [
    (b"/imports/new/", 2**20, b"200"), (b"/imports/new/?a=/", 2**20, b"200"), (b"/imports/new/", 2 * 2**20, b"413"),
    (b"/imports/other/", 2**20, b"413"), (b"/?/imports/new/", 2**20, b"413"),
])  # fmt: skip
def test_files_to_import_may_be_larger(channel: Any, settings: Any, path: bytes, size: int, status: bytes) -> None:
    settings.IMPORT_MAX_MB = 1
    channel.dataReceived(b"POST " + path + b" HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size)
    channel.dataReceived(b"x" * size)
    assert channel.transport.value().startswith(b"HTTP/1.1 " + status)
