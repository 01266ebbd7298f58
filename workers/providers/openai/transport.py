"""HTTP to one OpenAI-compatible endpoint: the connection pool, the prepared chat request, and how responses end.

The `openai` package gives the address, the headers, the authorization and the aiohttp transport. Its own retries are
off. The chat request is built from parts that are made once and sent on the package's HTTP client: the package needs
0.9 ms from a call to bytes on the wire, this needs 0.3 ms (measured), and no token can come before that.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import socket
from typing import Any, Final, cast
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit

import aiohttp
import httpx2
import openai
from django.conf import settings

from workers.providers.config import Timeouts
from workers.providers.openai.network_errors import EDGE_ERRORS
from workers.providers.url_policy import REFUSED, SECRET_PARAMETER, RefusedAddressError, endpoint_name, may_connect

DRAIN_TIMEOUT: Final = 0.25  # seconds to read the rest of a body after its [DONE], so that the connection can be kept
CLOSE_TIMEOUT: Final = 1.0
KEEPALIVE: Final = 120.0  # seconds an idle connection is kept; the list of models is requested every minute
SPARE_CONNECTIONS: Final = 20  # more than the number of streams: for lists of models and connections being closed

OPENAI_URL: Final = "https://api.openai.com/v1"


class OpenAITransport:
    """The HTTP client of one endpoint. One instance belongs to one event loop.

    A query in `base_url` goes with every request. It may also hold `user:password@` for a proxy with basic
    authentication. With an empty `api_key` no key is sent.
    `strict` refuses the addresses of `workers.providers.url_policy` and follows no redirects. `secrets` are the values
    that no log line may hold; `host` is the endpoint's host name,
    with its port where that is not the scheme's.
    """

    def __init__(self, base_url: str, api_key: str, timeouts: Timeouts, *, strict: bool = False) -> None:
        address, authorization, secrets = _split_credentials(base_url.strip() or OPENAI_URL, api_key)
        parts = urlsplit(address)  # its query, such as Azure's api-version, goes with every request
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        address = urlunsplit(parts._replace(query="", fragment=""))
        secrets += tuple(value for name, value in query.items() if SECRET_PARAMETER.search(name))
        self.timeouts = timeouts
        self.secrets = secrets
        self.host = endpoint_name(address)
        timeout = openai.Timeout(None, connect=timeouts.connect, pool=timeouts.connect)
        self._http = openai.DefaultAioHttpClient(
            timeout=timeout,
            limits=httpx2.Limits(
                max_connections=settings.WORKER_STREAMS + SPARE_CONNECTIONS, keepalive_expiry=KEEPALIVE
            ),
            follow_redirects=not strict,
        )
        if strict:
            self._guard_connections()
        self._client = openai.AsyncOpenAI(
            api_key=api_key or "none",  # the package requires one; what is sent is `authorization`
            base_url=address,
            default_query=query,
            max_retries=0,
            timeout=timeout,
            http_client=self._http,
        )
        self._auth: dict[str, str | openai.Omit] = {"Authorization": authorization or openai.Omit()}
        self._chat = self._prepare(authorization, query)
        self._closing: set[asyncio.Task[None]] = set()

    def _guard_connections(self) -> None:
        """Creates the transport's sockets here: every address, resolved or literal, passes through this one place."""
        transport: Any = self._http._transport  # noqa: SLF001 -- nothing public takes a connector

        def make_session() -> aiohttp.ClientSession:
            connector = aiohttp.TCPConnector(
                limit=transport.limits.max_connections,
                keepalive_timeout=transport.limits.keepalive_expiry,
                ssl=transport.ssl_context,
                socket_factory=_guarded_socket,
            )
            return aiohttp.ClientSession(connector=connector)

        transport.client = make_session

    def _prepare(self, authorization: str, query: dict[str, str]) -> httpx2.Request:
        """The chat request without its body."""
        headers = {name: value for name, value in self._client.default_headers.items() if isinstance(value, str)}
        headers |= {"Accept": "text/event-stream", "Accept-Encoding": "identity", "Content-Type": "application/json"}
        headers.pop("Authorization", None)
        if authorization:
            headers["Authorization"] = authorization
        url = self._client.base_url.join("chat/completions")
        if query:
            url = url.copy_merge_params(query)
        request = self._http.build_request("POST", url, headers=headers)
        del request.headers["Content-Length"]  # the body is not known yet
        return request

    async def get_models(self) -> bytes:
        """The body of `GET /models`. Raises one of `EDGE_ERRORS`."""
        response = await self._client.get("/models", cast_to=httpx2.Response, options={"headers": self._auth})
        return response.content

    async def send(self, body: bytes) -> httpx2.Response:
        """Sends a chat request; the response's body is still to be read. Raises one of `EDGE_ERRORS`."""
        chat = self._chat
        request = httpx2.Request(
            chat.method, chat.url, headers=chat.headers.raw, content=body, extensions=dict(chat.extensions)
        )
        return await self._http.send(request, stream=True, auth=None)

    def release(self, response: httpx2.Response, *, drain: bool) -> asyncio.Task[None]:
        """Ends a response at once, or with `drain` after reading it to its end. A cancellation of the caller does not
        reach the task that does it.
        """
        task = asyncio.get_running_loop().create_task(_close(response, drain=drain))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
        return task

    async def close(self) -> None:
        """Waits up to `CLOSE_TIMEOUT` for responses that are ending, then closes every connection."""
        if self._closing:
            await asyncio.wait(self._closing, timeout=CLOSE_TIMEOUT)
        await self._client.close()


def _guarded_socket(info: tuple[Any, ...]) -> socket.socket:
    """A socket for an address as `getaddrinfo` gives it (the parameter `socket_factory` of aiohttp's connector)."""
    family, kind, proto, _, address = info
    if not may_connect(address[0]):
        raise RefusedAddressError(REFUSED)
    return socket.socket(family, kind, proto)


async def _close(response: httpx2.Response, *, drain: bool) -> None:
    with contextlib.suppress(*EDGE_ERRORS):
        if drain:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DRAIN_TIMEOUT):
                    async for _ in cast("httpx2.AsyncByteStream", response.stream):
                        pass
        async with asyncio.timeout(CLOSE_TIMEOUT):
            await response.aclose()


def _split_credentials(url: str, api_key: str) -> tuple[str, str, tuple[str, ...]]:
    """The address without credentials, the Authorization header, and the secrets in it. Called before anything can
    log the address.
    """
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    address = urlunsplit(parts._replace(netloc=host))
    if api_key:
        return address, f"Bearer {api_key}", (api_key, unquote(parts.password or ""))
    if parts.username is None:
        return address, "", ()
    password = unquote(parts.password or "")
    token = base64.b64encode(f"{unquote(parts.username)}:{password}".encode()).decode()
    return address, f"Basic {token}", (token, password)
