"""The one guard of everything that tools fetch.

Each address is checked, also those that redirects name: its scheme, that it has no password, and the IP address of the
connection (`workers.providers.address_policy`). A fetch has limits of time, size, redirects and types. No cookie, key
or proxy of this machine goes along.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Final, Literal

import aiohttp
import yarl
from django.conf import settings

from workers.providers.address_policy import AddressPolicy, RefusedAddressError
from workers.providers.guarded import guarded_socket
from workers.tools.base import ToolError
from workers.tools.decoding import DecompressionError, Decompressor, decode_text

REDIRECTS: Final = (301, 302, 303, 307, 308)
MAX_REDIRECTS: Final = 5
MAX_URL: Final = 4000
MAX_HEADER: Final = 64 * 1024  # of one header field; some sites' security policies are long
USER_AGENT: Final = "Mozilla/5.0 (compatible; Antiphon; reads a page for a person)"

# Of a name that does not resolve and of one that leads to an internal network: who asks would learn its names.
NOT_PUBLIC: Final = "That name leads to no server on the public internet, so it is not fetched. Check the address."

FetchFailure = Literal["address", "refused", "network", "time", "redirects", "size", "type", "encoding"]


class FetchError(ToolError):
    """Why nothing was fetched. `reason` is for programs, `sentence` for the model and the person."""

    def __init__(self, reason: FetchFailure, sentence: str, *, uncertain: bool = False, detail: str = "") -> None:
        super().__init__(sentence, uncertain=uncertain, detail=detail)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class FetchRequest:
    """What to fetch. `types` are the media types that are taken; `text/*` is all of text; empty: any.

    `headers` are not sent on to another host. A body that is longer than `max_bytes` is refused, or with `cut` only its
    start is read. None: the setting's limit. `policy` None: public addresses and FETCH_ALLOWED_NETWORKS.
    """

    url: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    types: tuple[str, ...] = ()
    max_bytes: int | None = None
    seconds: float | None = None
    cut: bool = False
    redirects: int = MAX_REDIRECTS
    policy: AddressPolicy | None = None


@dataclass(frozen=True, slots=True)
class Fetched:
    """A response, whatever its status. `url` is where it came from in the end. `cut`: the body goes on."""

    url: str
    status: int
    headers: Mapping[str, str]
    media_type: str
    charset: str
    body: bytes
    cut: bool = False

    @property
    def text(self) -> str:
        """The body as text, in the charset that it really is in as far as that can be known."""
        return decode_text(self.body, self.charset, is_html="html" in self.media_type)


async def fetch(request: FetchRequest) -> Fetched:
    """Fetches an address. Raises `FetchError`."""
    policy = request.policy or default_policy()
    try:
        async with asyncio.timeout(request.seconds or settings.FETCH_SECONDS):
            return await _follow(request, policy)
    except TimeoutError:
        uncertain = request.method not in ("GET", "HEAD")
        raise FetchError("time", "The server took too long to answer.", uncertain=uncertain) from None
    except (DecompressionError, UnicodeError):
        raise FetchError("encoding", "The server sent a response that cannot be read.") from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        failure = _explain(error)
    raise failure  # outside of the handler, so that no request, which may hold a key, is attached to it


def default_policy() -> AddressPolicy:
    """Public addresses, and the networks that the operator listed."""
    return AddressPolicy(public_only=True, allowed=tuple(map(ip_network, settings.FETCH_ALLOWED_NETWORKS)))


def check_url(url: str, policy: AddressPolicy) -> yarl.URL:
    """The address as the connection uses it. Raises `FetchError` for one that may not be fetched."""
    if len(url) > MAX_URL:
        raise FetchError("address", "The address is too long.")
    try:
        parsed = yarl.URL(url.strip())
        host = parsed.host
        _ = parsed.port
    except ValueError:
        raise FetchError("address", "That is not a valid address.") from None
    if parsed.scheme not in ("http", "https"):
        raise FetchError("address", "Only addresses that begin with http:// or https:// can be fetched.")
    if not host or parsed.port == 0 or any(character.isspace() or character in "\\@%" for character in host):
        raise FetchError("address", "That is not a valid address.")
    if parsed.user is not None or parsed.password is not None:
        raise FetchError("address", "Addresses with a user name or password are not fetched.")
    if not policy.may_name(host):
        raise FetchError("refused", _refused(host))
    return parsed.with_fragment(None)


async def _follow(request: FetchRequest, policy: AddressPolicy) -> Fetched:
    url = check_url(request.url, policy)
    method, body, headers = request.method.upper(), request.body, dict(request.headers)
    proxy = settings.FETCH_PROXY or None
    async with _open_session(policy, proxied=proxy is not None) as session:
        for _ in range(request.redirects + 1):
            if proxy is not None:
                await _check_resolved(url, policy)
            response = await session.request(
                method, url, headers=headers, data=body, allow_redirects=False, proxy=proxy
            )
            async with response:
                target = response.headers.get("Location", "")
                if response.status not in REDIRECTS or not target:
                    return await _read(response, request)
            before, url = url, check_url(str(_join(url, target)), policy)
            if url.origin() != before.origin():
                if body is not None and response.status in (307, 308):
                    raise FetchError("redirects", "The server sends what it should get to another server.")
                headers = {}
            if response.status == 303 or (response.status in (301, 302) and method == "POST"):
                method, body = "GET", None
    raise FetchError("redirects", "The address redirects too often.")


def _join(base: yarl.URL, target: str) -> yarl.URL:
    try:
        return base.join(yarl.URL(target))
    except ValueError:
        raise FetchError("redirects", "The address redirects to one that is not valid.") from None


def _open_session(policy: AddressPolicy, *, proxied: bool) -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(
        socket_factory=None if proxied else guarded_socket(policy),  # the proxy may be in a private network
        force_close=True,
        use_dns_cache=False,
    )
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": USER_AGENT, "Accept-Encoding": "gzip, deflate"},
        timeout=aiohttp.ClientTimeout(total=None),
        auto_decompress=False,
        trust_env=False,
        max_field_size=MAX_HEADER,
    )


async def _check_resolved(url: yarl.URL, policy: AddressPolicy) -> None:
    """What can be checked before a proxy resolves the name by itself. A name that is unknown here is the proxy's."""
    try:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(str(url.host), url.port, type=socket.SOCK_STREAM)
    except OSError:
        return
    if not all(policy.may_connect(str(address[0])) for *_, address in found):
        raise FetchError("refused", _refused(str(url.host)))


async def _read(response: aiohttp.ClientResponse, request: FetchRequest) -> Fetched:
    limit = request.max_bytes or settings.FETCH_MAX_BYTES
    if request.types and not _fits(response.content_type, request.types) and response.ok:
        raise FetchError(
            "type", f"The address has content of the type {response.content_type[:60]}, not a readable one."
        )
    if not request.cut and (response.content_length or 0) > limit:
        raise FetchError("size", _too_long(limit))
    decompressor = Decompressor(response.headers.get("Content-Encoding", ""))
    body, received = bytearray(), 0
    async for data in response.content.iter_any():
        received += len(data)
        body += decompressor.feed(data, limit + 1 - len(body))
        if len(body) > limit or received > limit:
            if not request.cut:
                raise FetchError("size", _too_long(limit))
            break
    cut = len(body) > limit or received > limit
    return Fetched(
        url=str(response.url),
        status=response.status,
        headers=dict(response.headers),
        media_type=response.content_type,
        charset=response.charset or "",
        body=bytes(body[:limit]),
        cut=cut,
    )


def _fits(media_type: str, types: tuple[str, ...]) -> bool:
    return any(media_type == one or (one.endswith("/*") and media_type.startswith(one[:-1])) for one in types)


def _too_long(limit: int) -> str:
    return f"The content is longer than {limit / 1_000_000:g} MB."


def _refused(host: str) -> str:
    return f"{host[:100]} is not on the public internet, so it is not fetched."


def _explain(error: Exception) -> FetchError:
    """A failed connection, without internal addresses."""
    causes: list[BaseException] = [error]
    while (cause := causes[-1].__cause__) is not None and len(causes) < 10:
        causes.append(cause)
    detail = type(causes[-1]).__name__
    if any(isinstance(one, RefusedAddressError) for one in causes):
        return FetchError("refused", NOT_PUBLIC)
    if isinstance(error, aiohttp.InvalidURL):
        return FetchError("address", "That is not a valid address.")
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return FetchError("refused", NOT_PUBLIC, detail=detail)
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientSSLError):
        return FetchError("network", "The server's certificate or encryption is not valid.", detail=detail)
    if isinstance(error, aiohttp.ClientConnectorError):
        return FetchError("network", "The server cannot be reached.", detail=detail)
    return FetchError("network", "The connection failed before the answer was complete.", uncertain=True, detail=detail)
