"""HTTP to tool servers: every address checked when a connection is made, every body bounded, nothing decompressed."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from typing import Any, Final

import httpx2

from workers.providers.address_policy import ENDPOINTS, PUBLIC
from workers.providers.address_policy import RefusedAddressError as RefusedAddressError  # for who uses this client
from workers.providers.guarded import GuardedBackend, is_refused
from workers.tools.decoding import is_text_encoding

CONNECT_SECONDS: Final = 10.0
MAX_BODY_BYTES: Final = 16 * 1024 * 1024  # of a response
MAX_STREAM_BYTES: Final = 64 * 1024 * 1024  # of an event stream
USER_AGENT: Final = "antiphon"
_CHARSET: Final = re.compile(r"charset\s*=\s*[\"']?([^\s;\"']+)", re.IGNORECASE)
REFUSED: Final = "This address cannot be used for a tool server."


class TooLargeError(httpx2.TransportError):
    """A response is longer than allowed, or compressed."""


def guarded_client(
    *,
    allow_private: bool,
    headers: dict[str, str] | None = None,
    auth: httpx2.Auth | None = None,
    timeout: float = 60.0,
) -> httpx2.AsyncClient:
    """A client that connects only to allowed addresses, follows no redirect and uses no proxy of the environment.

    `allow_private`: also to private networks, where staff's servers may be. `timeout` is for each read, in seconds.
    """
    return httpx2.AsyncClient(
        transport=GuardedTransport(allow_private),
        headers={"User-Agent": USER_AGENT, **(headers or {}), "Accept-Encoding": "identity"},
        auth=auth,
        timeout=httpx2.Timeout(timeout, connect=CONNECT_SECONDS),
        follow_redirects=False,
        trust_env=False,
    )


class GuardedTransport(httpx2.AsyncHTTPTransport):
    """HTTP/1.1 over connections to allowed addresses. Raises `RefusedAddressError` for others."""

    def __init__(self, allow_private: bool) -> None:
        super().__init__(trust_env=False)
        pool: Any = self._pool
        policy = ENDPOINTS if allow_private else PUBLIC
        pool._network_backend = GuardedBackend(policy, pool._network_backend)  # noqa: SLF001 -- nothing public takes one

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        try:
            response = await super().handle_async_request(request)
        except httpx2.ConnectError as error:
            if is_refused(error):
                raise RefusedAddressError(REFUSED) from error
            raise
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            await response.aclose()
            raise TooLargeError("The response is compressed.", request=request)
        _drop_odd_charset(response.headers)
        streamed = response.headers.get("Content-Type", "").lower().startswith("text/event-stream")
        limit = MAX_STREAM_BYTES if streamed else MAX_BODY_BYTES
        stream: Any = response.stream
        return httpx2.Response(
            response.status_code,
            headers=response.headers,
            stream=_Bounded(stream, limit),
            extensions=response.extensions,
        )


def _drop_odd_charset(headers: httpx2.Headers) -> None:
    """A charset that is none of texts is as good as no charset."""
    kind, _, parameters = headers.get("Content-Type", "").partition(";")
    found = _CHARSET.search(parameters)
    if found is not None and not is_text_encoding(found[1]):
        headers["Content-Type"] = kind


class _Bounded(httpx2.AsyncByteStream):
    """The bytes of a response up to a limit; then `TooLargeError`."""

    def __init__(self, stream: httpx2.AsyncByteStream, limit: int) -> None:
        self._stream, self._left = stream, limit

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for data in self._stream:
            self._left -= len(data)
            if self._left < 0:
                raise TooLargeError("The response is too long.")
            yield data

    async def aclose(self) -> None:
        await self._stream.aclose()


async def is_private_host(url: str) -> bool:
    """Whether the host of an address is in a private network, as far as its name is resolved now."""
    parts = httpx2.URL(url)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(parts.host, parts.port or 443, type=socket.SOCK_STREAM)
    except OSError:
        return False
    return any(not PUBLIC.may_connect(str(info[4][0])) for info in found)
