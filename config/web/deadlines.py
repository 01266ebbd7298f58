"""Deadlines and a greatest size for HTTP requests; none for a response, as long as the client reads it.

Twisted's own timeout starts again with every byte. A client that sends a byte now and then would
otherwise hold a connection, and with many of them all of a process's file descriptors, for as long as it likes.
A body is stored on disk as it arrives, and is in memory as a whole when Daphne hands it to the application, before any
view is asked whether it wants it.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import daphne.http_protocol
from daphne.http_protocol import WebRequest
from django.conf import settings
from twisted.web import http

HEAD_SECONDS: Final = 20.0  # from a request's first byte to the end of its headers
BODY_SECONDS: Final = 30.0  # from there to the end of its body ...
BODY_BYTES_PER_SECOND: Final = 16 * 1024  # ... and a second more for so many bytes that have arrived
OVERHEAD_BYTES: Final = 64 * 1024  # with which a body in chunks, and what came with it, may exceed its limit
# A refused body is read on and dropped for a while, up to so many bytes beyond its limit. Who is still sending it would
# otherwise find the connection reset, and lose the answer: nginx then says 502.
LINGER_SECONDS: Final = 5.0
LINGER_BYTES: Final = 8 * 2**20
READ_SECONDS: Final = 60.0  # within which a client has to take something of a response

IMPORTS: Final = b"/imports/new/"  # which takes larger bodies: files that people import

TIMEOUT: Final = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
TOO_LARGE: Final = b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class DeadlineChannel(http.HTTPChannel):  # type: ignore[misc]  # twisted.web is untyped in parts
    """One HTTP connection, which is closed with 408 when a request takes too long to arrive, and with 413 when its body
    is larger than MAX_REQUEST_MB, or than IMPORT_MAX_MB where files are imported.
    """

    def __init__(self) -> None:
        super().__init__()
        self._deadline: Any = None
        self._arrived = 0
        self._refused = False
        self._unread = 0  # bytes that are still read of a refused body

    def connectionMade(self) -> None:  # noqa: N802 -- Twisted's
        super().connectionMade()
        self._await(HEAD_SECONDS)

    def dataReceived(self, data: bytes) -> None:  # noqa: N802 -- Twisted's
        if self._refused:
            self._drop(len(data))
            return
        if self._deadline is None and not self._handlingRequest:
            self._await(HEAD_SECONDS)  # the next request of a kept connection begins
        super().dataReceived(data)

    def allHeadersReceived(self) -> None:  # noqa: N802 -- Twisted's
        self._arrived = 0
        if self.length is not None and self.length > self._most_bytes():
            self._refuse_body()
            return
        self._await(BODY_SECONDS)
        super().allHeadersReceived()

    def rawDataReceived(self, data: bytes) -> None:  # noqa: N802 -- Twisted's
        if self._refused:
            return
        if self._deadline is not None and self._deadline.active():
            before, self._arrived = self._arrived, self._arrived + len(data)
            if self._arrived > self._most_bytes() + OVERHEAD_BYTES:  # in chunks, of a length that nobody said
                self._refuse_body()
                return
            self._deadline.delay(self._arrived // BODY_BYTES_PER_SECOND - before // BODY_BYTES_PER_SECOND)
        super().rawDataReceived(data)

    def _most_bytes(self) -> int:
        path = self._path.partition(b"?")[0]
        file = settings.IMPORT_MAX_MB * 2**20 + OVERHEAD_BYTES if path == IMPORTS else 0
        return max(settings.MAX_REQUEST_BYTES, file)

    def arrived(self) -> None:
        """A request is complete."""
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        self._deadline = None

    def connectionLost(self, reason: Any) -> None:  # noqa: N802 -- Twisted's
        self.arrived()
        super().connectionLost(reason)

    def _await(self, seconds: float) -> None:
        self.arrived()
        self._deadline = self.callLater(seconds, self._give_up)

    def _give_up(self) -> None:
        """Answers 408 and closes; what still arrives is dropped."""
        self._refuse(TIMEOUT)
        self.loseConnection()
        self.callLater(self.abortTimeout, self.transport.abortConnection)

    def _refuse_body(self) -> None:
        """Answers 413, and closes when the client has, or has sent too much of the rest, or takes too long."""
        self._unread = self._most_bytes() + LINGER_BYTES - self._arrived
        self._refuse(TOO_LARGE)
        self.transport.loseWriteConnection()
        self.callLater(LINGER_SECONDS, self.transport.abortConnection)

    def _refuse(self, answer: bytes) -> None:
        self.arrived()
        self._refused = True
        self.transport.write(answer)

    def _drop(self, size: int) -> None:
        self._unread -= size
        if self._unread < 0:
            self.transport.abortConnection()


class DeadlineRequest(WebRequest):  # type: ignore[misc]  # daphne has no types
    """One request. Its response may take as long as it likes once it has begun, and is never cut in silence.

    It is a producer in Twisted's sense: what is made of a response waits until the client has taken what was made
    before, so that a download that nobody reads is not in memory as a whole.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Otherwise Twisted, too, reads forms: on the event loop, for seconds, before any view is asked.
        self._parsePOSTFormSubmission = False
        self._room = asyncio.Event()
        self._room.set()

    def handle_reply(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.body" and self.channel is not None and not self.finished:
            if not message.get("more_body", False):
                self.unregisterProducer()  # does nothing where there is none
            elif self.producer is None:
                self.registerProducer(self, True)
        super().handle_reply(message)

    async def wait_for_room(self) -> None:
        """Returns when the client has taken most of what was written. One that takes nothing is disconnected."""
        try:
            async with asyncio.timeout(READ_SECONDS):
                await self._room.wait()
        except TimeoutError:
            if self.channel is not None:
                self.channel.transport.abortConnection()

    def pauseProducing(self) -> None:  # noqa: N802 -- Twisted's
        self._room.clear()

    def resumeProducing(self) -> None:  # noqa: N802 -- Twisted's
        self._room.set()

    stopProducing = resumeProducing  # noqa: N815 -- Twisted's; Daphne ends the application

    def connectionLost(self, reason: Any) -> None:  # noqa: N802 -- Twisted's
        self._room.set()
        super().connectionLost(reason)

    def process(self) -> Any:
        self.channel.arrived()
        return super().process()

    def check_timeouts(self) -> None:
        """Ends a request that has no response within the limit. Daphne's own would end a long download like a whole
        one.
        """
        if not self._response_started:
            super().check_timeouts()

    def handle_exception(self, exception: BaseException) -> None:
        """Answers 500, or breaks the connection where the response has begun: the client sees that it is not whole."""
        if not self._response_started:
            super().handle_exception(exception)
        elif self.channel is not None:
            self.channel.transport.abortConnection()


class DeadlineFactory(daphne.http_protocol.HTTPFactory):  # type: ignore[misc]  # as above
    """Creates `DeadlineChannel`s: HTTP/1.1 only, since TLS ends at the proxy."""

    protocol = DeadlineChannel

    def buildProtocol(self, addr: Any) -> Any:  # noqa: N802 -- Twisted's
        channel = super().buildProtocol(addr)
        channel.requestFactory = DeadlineRequest
        return channel
