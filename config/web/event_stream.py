"""The body of a response that goes on, written by many streams' one hub (`chat.realtime.watching`)."""

from __future__ import annotations

from typing import Any

from config.web.direct_writes import buffered, write_directly


class EventStream:
    """The response of one of Daphne's requests, whose headers are sent."""

    __slots__ = ("_request", "_transport", "chunked")

    def __init__(self, request: Any) -> None:
        self._request = request
        self._transport: Any = request.channel.transport if request.channel is not None else None  # None: it has left
        self.chunked = bool(request.chunked)

    def write(self, data: bytes) -> None:
        """`data` is a chunk where the response is chunked."""
        if self._request.channel is not None and not self._request.finished:
            self._request.sentLength += len(data)  # for the access log
            write_directly(self._transport, data)

    def waiting(self) -> int:
        """Bytes that the kernel has not accepted yet."""
        return buffered(self._transport) if self._request.channel is not None else 0

    def abort(self) -> None:
        """Breaks the connection: what waits is not sent."""
        if self._request.channel is not None:
            self._transport.abortConnection()
