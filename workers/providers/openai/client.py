"""Answers from any OpenAI-compatible API.

The `openai` package gives the address, headers, authorisation and the aiohttp transport; its hidden retries are off.
The chat request itself is put together from parts made once and sent on the package's HTTP client: its own way from a
call to bytes on the wire takes 0.9 ms, this one 0.3 (measured), and nobody sees a token before. What comes back is
read in `openai_answer.py`.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Any, Final, cast
from urllib.parse import unquote, urlsplit, urlunsplit

import aiohttp
import httpx2
import msgspec
import openai
import structlog
from django.conf import settings

from workers.providers.base import DEFAULT, ChatTurn, Chunk, OnRequest, Options, ProviderError
from workers.providers.config import Timeouts
from workers.providers.openai.network_errors import EDGE_ERRORS, translate
from workers.providers.openai.request import Answer
from workers.providers.url_policy import REFUSED, RefusedAddressError, may_connect

log = structlog.get_logger(__name__)

DRAIN_TIMEOUT: Final = 0.25  # seconds for the end of a body after its [DONE], so that the connection can be kept
CLOSE_TIMEOUT: Final = 1.0
MODELS_TIMEOUT: Final = 10.0
KEEPALIVE: Final = 120.0  # seconds an idle connection is kept; the list of models is asked for each minute
SPARE_CONNECTIONS: Final = 20  # over the number of streams, for lists of models and closing connections

OPENAI_URL: Final = "https://api.openai.com/v1"


class _ModelEntry(msgspec.Struct):
    id: str


class _ModelList(msgspec.Struct):
    data: list[_ModelEntry] | None = None  # Ollama with no model says null


_decode_models = msgspec.json.Decoder(_ModelList).decode


class OpenAIChat:
    """One OpenAI-compatible endpoint: a `ChatModel`.

    `base_url` may carry `user:password@` for a proxy that asks for it; an empty `api_key` sends none. `strict` connects
    to no address that is refused (`workers.providers.url_policy`) and follows no redirect. One instance belongs to one
    event loop.
    """

    def __init__(self, base_url: str, api_key: str, *, timeouts: Timeouts | None = None, strict: bool = False) -> None:
        self.timeouts = timeouts or Timeouts.from_settings()
        self.refused: set[tuple[str, str]] = set()  # (model, option) that it does not take
        self.asks_usage = True  # until the endpoint says that it does not know `stream_options`
        address, authorization, secrets = _split_credentials(base_url or OPENAI_URL, api_key)
        self.secrets = secrets
        self.host = urlsplit(address).hostname or ""
        timeout = openai.Timeout(None, connect=self.timeouts.connect, pool=self.timeouts.connect)
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
            api_key=api_key or "none",  # the package wants one; what is sent is `authorization`
            base_url=address,
            max_retries=0,
            timeout=timeout,
            http_client=self._http,
        )
        self._auth: dict[str, str | openai.Omit] = {"Authorization": authorization or openai.Omit()}
        self._chat = self._prepare(authorization)
        self._closing: set[asyncio.Task[None]] = set()

    def _guard_connections(self) -> None:
        """Has the transport make its sockets here: the one place that every address passes, looked up or literal."""
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

    def _prepare(self, authorization: str) -> httpx2.Request:
        """The chat request but for its body."""
        headers = {name: value for name, value in self._client.default_headers.items() if isinstance(value, str)}
        headers |= {"Accept": "text/event-stream", "Accept-Encoding": "identity", "Content-Type": "application/json"}
        headers.pop("Authorization", None)
        if authorization:
            headers["Authorization"] = authorization
        request = self._http.build_request("POST", self._client.base_url.join("chat/completions"), headers=headers)
        del request.headers["Content-Length"]  # of the body that is not there yet
        return request

    async def open(self) -> None:
        """Asks for the models, which leaves a warm connection; what fails now is only logged."""
        with contextlib.suppress(ProviderError):
            await self._ask_models()

    async def close(self) -> None:
        if self._closing:
            await asyncio.wait(self._closing, timeout=CLOSE_TIMEOUT)
        await self._client.close()

    async def models(self) -> list[str]:
        """What the endpoint lists. Asking now and then keeps a connection warm."""
        return await self._ask_models()

    async def _ask_models(self) -> list[str]:
        try:
            async with asyncio.timeout(MODELS_TIMEOUT):
                response = await self._client.get("/models", cast_to=httpx2.Response, options={"headers": self._auth})
            return [entry.id for entry in _decode_models(response.content).data or ()]
        except (msgspec.DecodeError, UnicodeDecodeError):
            failure = ProviderError("upstream_garbage", "The model's server did not send a list of models.")
        except EDGE_ERRORS as error:
            failure = translate(error, self.secrets)
        log.warning("model_endpoint_unavailable", code=failure.code, detail=failure.detail)
        raise failure  # out here no request, which holds the key, hangs on it

    @contextlib.asynccontextmanager
    async def stream(
        self,
        model: str,
        turns: Sequence[ChatTurn],
        *,
        options: Options = DEFAULT,
        on_request: OnRequest | None = None,
    ) -> AsyncGenerator[AsyncIterator[list[Chunk]]]:
        answer = Answer(self, model, turns, options, on_request)
        try:
            yield answer
        finally:
            await answer.close()

    async def send(self, body: bytes) -> httpx2.Response:
        """Sends a chat request; the response's body is still to be read. Raises one of `EDGE_ERRORS`."""
        chat = self._chat
        request = httpx2.Request(
            chat.method, chat.url, headers=chat.headers.raw, content=body, extensions=dict(chat.extensions)
        )
        return await self._http.send(request, stream=True, auth=None)

    def release(self, response: httpx2.Response, *, drain: bool) -> asyncio.Task[None]:
        """Ends a response, in a task that no cancellation of the caller reaches: at once, or read to its end first."""
        task = asyncio.get_running_loop().create_task(_close(response, drain=drain))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
        return task


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
    """The address without credentials, before anything can log it; the Authorization header; what is secret in it."""
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
