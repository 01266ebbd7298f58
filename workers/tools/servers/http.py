"""HTTP to tool servers: every address checked when a connection is made, every body bounded, nothing decompressed."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator, Iterable
from typing import Any, Final

import httpcore2
import httpx2
from httpcore2 import AsyncNetworkBackend, AsyncNetworkStream

from workers.providers.url_policy import RefusedAddressError as RefusedAddressError  # for who uses this client
from workers.providers.url_policy import may_connect

CONNECT_SECONDS: Final = 10.0
MAX_BODY_BYTES: Final = 16 * 1024 * 1024  # of a response
MAX_STREAM_BYTES: Final = 64 * 1024 * 1024  # of an event stream
USER_AGENT: Final = "antiphon"
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
    """HTTP/1.1 over connections that `_Backend` makes."""

    def __init__(self, allow_private: bool) -> None:
        super().__init__(trust_env=False)
        pool: Any = self._pool
        pool._network_backend = _Backend(allow_private)  # noqa: SLF001 -- nothing public takes a network backend

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await super().handle_async_request(request)
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            await response.aclose()
            raise TooLargeError("The response is compressed.", request=request)
        streamed = response.headers.get("Content-Type", "").lower().startswith("text/event-stream")
        limit = MAX_STREAM_BYTES if streamed else MAX_BODY_BYTES
        stream: Any = response.stream
        return httpx2.Response(
            response.status_code,
            headers=response.headers,
            stream=_Bounded(stream, limit),
            extensions=response.extensions,
        )


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


class _Backend(AsyncNetworkBackend):
    """Resolves a name once, checks every address, and connects to one that was checked."""

    def __init__(self, allow_private: bool) -> None:
        self._allow_private = allow_private
        self._inner = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 -- httpcore's name
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> AsyncNetworkStream:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise httpcore2.ConnectError("The host name cannot be resolved.") from error
        addresses = [str(info[4][0]) for info in found]
        if not addresses or not all(is_allowed(address, allow_private=self._allow_private) for address in addresses):
            raise RefusedAddressError(REFUSED)
        failure: Exception | None = None
        for address in addresses[:4]:
            try:
                return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        assert failure is not None
        raise failure

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def is_allowed(address: str, *, allow_private: bool) -> bool:
    """Whether a connection to an IP address is allowed."""
    if not may_connect(address):
        return False
    if allow_private:
        return True
    found = ipaddress.ip_address(address.partition("%")[0])
    embedded = getattr(found, "ipv4_mapped", None)
    return (embedded or found).is_global and not (embedded or found).is_multicast


async def is_private_host(url: str) -> bool:
    """Whether the host of an address is in a private network, as far as its name is resolved now."""
    parts = httpx2.URL(url)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(parts.host, parts.port or 443, type=socket.SOCK_STREAM)
    except OSError:
        return False
    return any(not is_allowed(str(info[4][0]), allow_private=False) for info in found)
