"""HTTP to one endpoint: the connection pool, the prepared requests, and how responses end.

The `openai` package gives the HTTP client with the aiohttp transport. A request is built from parts that are made once:
the package needs 0.9 ms from a call to bytes on the wire, this needs 0.3 ms (measured), and no token can come before
that.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import functools
import os
import re
import ssl
from collections.abc import Iterable, Mapping
from typing import Any, Final, cast
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit

import aiohttp
import httpx2
import msgspec
import openai
from cachetools import LRUCache
from django.conf import settings

from workers.providers.address_policy import ENDPOINTS
from workers.providers.config import NO_EXTRAS, Extras, Timeouts
from workers.providers.guarded import guarded_socket
from workers.providers.http.dialect import JSON, Dialect, Target
from workers.providers.http.error_fields import decode_body
from workers.providers.http.errors import SHORTEST_KEY, error_from_answer
from workers.providers.http.network_errors import EDGE_ERRORS
from workers.providers.url_policy import SECRET_PARAMETER, endpoint_name

DRAIN_TIMEOUT: Final = 0.25  # seconds to read the rest of a body after its [DONE], so that the connection can be kept
CLOSE_TIMEOUT: Final = 1.0
KEEPALIVE: Final = 120.0  # seconds an idle connection is kept; the list of models is requested every minute
SPARE_CONNECTIONS: Final = 20  # more than the number of streams: for lists of models and connections being closed

PREPARED: Final = 500  # requests, one for each model
MAX_BODY_BYTES: Final = 16 * 1024 * 1024  # of a list of models
MAX_ERROR_BYTES: Final = 64 * 1024
MAX_REDIRECTS: Final = 5
USER_AGENT: Final = "antiphon"
SCHEMES: Final = ("bearer", "basic", "token", "apikey", "api-key", "key")  # of a header before its secret


class Transport:
    """The HTTP client of one endpoint. One instance belongs to one event loop.

    A query in `address` goes with every request. It may also hold `user:password@` for a proxy with basic
    authentication. With an empty `api_key` no key is sent. `extras` go with every request, too;
    `model_extras` are the models', whose headers may be secret.
    `strict` refuses the addresses of `workers.providers.url_policy` and follows no redirects. `secrets` are the values
    that no log line may hold; `host` is the endpoint's host name, with its port where that is not the scheme's.
    """

    def __init__(
        self,
        dialect: Dialect,
        address: str,
        api_key: str,
        timeouts: Timeouts,
        *,
        extras: Extras = NO_EXTRAS,
        model_extras: Iterable[Extras] = (),
        strict: bool = False,
    ) -> None:
        address, basic, secrets = _split_credentials(address.strip(), api_key)
        parts = urlsplit(address)  # its query, such as Azure's api-version, goes with every request
        base = dialect.base_url(urlunsplit(parts._replace(query="", fragment="")).rstrip("/"))
        given = dict(parse_qsl(parts.query, keep_blank_values=True))
        self._query = dialect.default_query() | given | dict(extras.query)
        secrets += tuple(value for name, value in self._query.items() if SECRET_PARAMETER.search(name))
        added = [extras, *model_extras]
        for one in added:
            for name, value in one.headers.items():
                secrets += _secrets_of(name, value)
        self._base = httpx2.URL(base.rstrip("/") + "/")
        own = dialect.key_headers(api_key) if api_key else basic
        self._defaults = {"User-Agent": USER_AGENT, **dialect.headers()}
        self._own_headers = own
        self._extras = extras
        self._dialect = dialect
        self.timeouts = timeouts
        self.secrets = secrets
        self.host = endpoint_name(str(self._base))
        # A redirect to another host keeps every header but Authorization, so there it would get the key.
        names = {*own, *(name for one in added for name in one.headers)}
        private = bool(secrets) and any(name.lower() != "authorization" for name in names)
        self._http = openai.DefaultAioHttpClient(
            timeout=httpx2.Timeout(None, connect=timeouts.connect, pool=timeouts.connect),
            limits=httpx2.Limits(
                max_connections=settings.WORKER_STREAMS + SPARE_CONNECTIONS, keepalive_expiry=KEEPALIVE
            ),
            follow_redirects=not (strict or private),
            max_redirects=MAX_REDIRECTS,
            verify=_tls_context(os.environ.get("SSL_CERT_FILE", ""), os.environ.get("SSL_CERT_DIR", "")),
        )
        if strict:
            self._guard_connections()
        self._prepared: LRUCache[tuple[str, bool], httpx2.Request] = LRUCache(PREPARED)
        self._closing: set[asyncio.Task[None]] = set()

    def _guard_connections(self) -> None:
        """Creates the transport's sockets here: every address, resolved or literal, passes through this one place."""
        transport: Any = self._http._transport  # noqa: SLF001 -- nothing public takes a connector

        def make_session() -> aiohttp.ClientSession:
            connector = aiohttp.TCPConnector(
                limit=transport.limits.max_connections,
                keepalive_timeout=transport.limits.keepalive_expiry,
                ssl=transport.ssl_context,
                socket_factory=guarded_socket(ENDPOINTS),
            )
            return aiohttp.ClientSession(connector=connector)

        transport.client = make_session

    def _prepare(self, target: Target, accept: str, extras: Extras) -> httpx2.Request:
        """A request with all but its body."""
        url = self._base.copy_with(raw_path=_join(self._base, target.path))
        if query := {**self._query, **extras.query, **target.query}:
            url = url.copy_merge_params(query)
        headers = _join_headers(_join_headers(self._defaults, extras.headers), self._own_headers)
        headers |= {"Accept": accept, "Accept-Encoding": "identity", "Content-Type": JSON}
        return self._http.build_request("POST", url, headers=headers)

    async def fetch(
        self, target: Target, body: Mapping[str, Any] | None = None
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers and body of the answer to a GET, or to a POST of `body`. Raises one of `EDGE_ERRORS`."""
        request = self._prepare(target, JSON, self._extras)
        content = None if body is None else msgspec.json.encode(body)
        request = httpx2.Request(
            "GET" if content is None else "POST", request.url, headers=_bodyless(request), content=content,
            extensions=dict(request.extensions),
        )  # fmt: skip
        response = await self._http.send(request, stream=True, auth=None)
        try:
            raw = bytearray()
            async for data in response.aiter_bytes():
                raw += data
                if len(raw) > MAX_BODY_BYTES:
                    break
        finally:
            await response.aclose()
        return response.status_code, response.headers, bytes(raw)

    async def fetch_body(self, target: Target, body: Mapping[str, Any] | None = None) -> bytes:
        """The body of a good answer, as `fetch` asks for it. Raises `ProviderError`, or one of `EDGE_ERRORS`."""
        status, headers, raw = await self.fetch(target, body)
        if not 200 <= status < 300:
            raise error_from_answer(status, decode_body(raw), headers, secrets=self.secrets)
        said = decode_body(raw) if len(raw) < MAX_ERROR_BYTES and b'"error"' in raw else None
        if isinstance(said, dict) and said.get("error") and not (said.get("data") or said.get("models")):
            raise error_from_answer(None, said, headers, secrets=self.secrets)
        return raw

    async def send(self, model: str, body: bytes, extras: Extras, *, stream: bool) -> httpx2.Response:
        """Requests an answer of a model; the response's body is still to be read. Raises one of `EDGE_ERRORS`."""
        chat = self._prepared.get((model, stream))
        if chat is None:
            target = self._dialect.target(model, stream=stream)
            chat = self._prepared[model, stream] = self._prepare(
                target, self._dialect.accept if stream else JSON, extras
            )
            del chat.headers["Content-Length"]  # the body is not known yet
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
        await self._http.aclose()


@functools.cache
def _tls_context(_file: str, _folder: str) -> ssl.SSLContext:
    """The one of all transports of this process. Reading the system's certificates takes 0.1 s of CPU time, and the
    event loop stands still meanwhile. The arguments are what the variables say that name other certificates.
    """
    return httpx2.create_ssl_context()


async def _close(response: httpx2.Response, *, drain: bool) -> None:
    with contextlib.suppress(*EDGE_ERRORS):
        if drain:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DRAIN_TIMEOUT):
                    async for _ in cast("httpx2.AsyncByteStream", response.stream):
                        pass
        async with asyncio.timeout(CLOSE_TIMEOUT):
            await response.aclose()


def _join_headers(first: Mapping[str, str], second: Mapping[str, str]) -> dict[str, str]:
    """Both; where a name is in both, in any case of letters, the second one counts."""
    names = {name.lower() for name in second}
    return {name: value for name, value in first.items() if name.lower() not in names} | dict(second)


def _secrets_of(name: str, value: str) -> tuple[str, ...]:
    """What of a header may be in no log: its value, and its parts, because servers repeat a token without the word
    before it. Of a short value without a telling name nothing is: it is a word that texts may have.
    """
    scheme, _, credentials = value.strip().partition(" ")
    if scheme.lower() in SCHEMES and credentials.strip():
        token = credentials.strip()
        return (token, _password_of(token)) if scheme.lower() == "basic" else (token,)
    if not SECRET_PARAMETER.search(name) and len(value) < SHORTEST_KEY:
        return ()
    return (value, *(part for part in re.split(r"[\s;,=]+", value) if SHORTEST_KEY <= len(part) < len(value)))


def _password_of(token: str) -> str:
    """The password in the token of basic authentication; empty if it is none."""
    try:
        return base64.b64decode(token, validate=True).decode().partition(":")[2]
    except ValueError:
        return ""


def _join(base: httpx2.URL, path: str) -> bytes:
    """The encoded path below the base. `path` is already encoded."""
    return base.raw_path.partition(b"?")[0] + path.encode("ascii")


def _bodyless(request: httpx2.Request) -> list[tuple[bytes, bytes]]:
    return [(name, value) for name, value in request.headers.raw if name.lower() != b"content-length"]


def _split_credentials(url: str, api_key: str) -> tuple[str, dict[str, str], tuple[str, ...]]:
    """The address without credentials, the header of those, and the secrets. Called before anything can log it."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    address = urlunsplit(parts._replace(netloc=host))
    if api_key:
        return address, {}, (api_key, unquote(parts.password or ""))
    if parts.username is None:
        return address, {}, ()
    password = unquote(parts.password or "")
    token = base64.b64encode(f"{unquote(parts.username)}:{password}".encode()).decode()
    return address, {"Authorization": f"Basic {token}"}, (token, password)
