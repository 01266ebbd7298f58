"""Connections that are made only to the addresses that a policy allows.

A client resolves a name once and hands each address to this code just before it connects to it, so nothing can change
between the check and the connection. The name stays in the Host header and in TLS.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable
from typing import Any, Final

import httpcore2
import httpx2

from accounts.lib.texts import gettext_noop
from workers.providers.address_policy import AddressPolicy, RefusedAddressError

REFUSED: Final = gettext_noop("This address may not be connected to.")


def guarded_socket(policy: AddressPolicy) -> Callable[[tuple[Any, ...]], socket.socket]:
    """What makes sockets for aiohttp's connector (its parameter `socket_factory`), for allowed addresses only."""

    def make(info: tuple[Any, ...]) -> socket.socket:
        family, kind, proto, _, address = info
        if not policy.may_connect(address[0]):
            raise RefusedAddressError(REFUSED)
        return socket.socket(family, kind, proto)

    return make


def guard_client(client: httpx2.AsyncClient, policy: AddressPolicy) -> httpx2.AsyncClient:
    """The same client, whose own connections go to allowed addresses only. Those through a proxy of the environment
    stay: the proxy resolves the name. Raises `httpx2.ConnectError` at a request.
    """
    pool = client._transport._pool  # type: ignore[attr-defined]  # noqa: SLF001 -- nothing public takes a backend
    pool._network_backend = GuardedBackend(policy, pool._network_backend)  # noqa: SLF001 -- as above
    return client


def is_refused(error: BaseException) -> bool:
    """Whether a request failed because its address is not allowed."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, RefusedAddressError | RefusedConnectError):
        cause = cause.__cause__
    return cause is not None


class RefusedConnectError(httpcore2.ConnectError):
    """A `RefusedAddressError` that httpcore's pool passes on: it drops the cause of what it raises again."""


class GuardedBackend(httpcore2.AsyncNetworkBackend):
    """Resolves a name once, checks the addresses, and connects to one of them."""

    def __init__(self, policy: AddressPolicy, backend: httpcore2.AsyncNetworkBackend) -> None:
        self._policy = policy
        self._backend = backend

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 -- the interface
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        try:
            async with asyncio.timeout(timeout):
                found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except TimeoutError:
            raise httpcore2.ConnectTimeout(f"{host} was not resolved in time") from None
        except OSError as error:
            raise httpcore2.ConnectError(f"{host} cannot be resolved: {error}") from error
        allowed = [address[0] for *_, address in found if self._policy.may_connect(str(address[0]))]
        if not allowed:
            raise RefusedConnectError(REFUSED) from RefusedAddressError(REFUSED)
        failure: Exception | None = None
        for address in dict.fromkeys(allowed):
            try:
                return await self._backend.connect_tcp(
                    str(address), port, timeout=timeout, local_address=local_address, socket_options=socket_options
                )
            except httpcore2.ConnectError as error:
                failure = error
        assert failure is not None
        raise failure

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109 -- the interface
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        raise httpcore2.ConnectError(REFUSED)

    async def sleep(self, seconds: float) -> None:
        await self._backend.sleep(seconds)
