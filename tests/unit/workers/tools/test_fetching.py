"""What the guard of fetches lets through, against servers on the loopback and names that resolve as a test says."""

from __future__ import annotations

import asyncio
import gzip
import socket
from collections.abc import AsyncIterator
from ipaddress import ip_network
from typing import Any

import pytest
from aiohttp import web

from tests.fakes.web_pages import WebPages, serve_pages
from workers.providers.address_policy import PUBLIC, AddressPolicy
from workers.tools.fetching import Fetched, FetchError, FetchRequest, fetch

ONE = AddressPolicy(public_only=True, allowed=(ip_network("127.0.0.1/32"),))
METADATA = "http://169.254.169.254/latest/meta-data/"


@pytest.fixture
async def pages() -> AsyncIterator[WebPages]:
    async with serve_pages("0.0.0.0") as serving:
        yield serving


async def get(url: str, **options: Any) -> Fetched:
    return await fetch(FetchRequest(url, **{"policy": ONE, "seconds": 20.0, **options}))


async def refused(url: str, **options: Any) -> FetchError:
    with pytest.raises(FetchError) as caught:
        await get(url, **options)
    return caught.value


async def test_a_page_is_fetched(pages: WebPages) -> None:
    url = pages.show("/page", "<p>Grüße</p>", "text/html; charset=utf-8")
    found = await get(url)
    assert (found.status, found.text, found.media_type, found.url) == (200, "<p>Grüße</p>", "text/html", url)
    sent = pages.asked[0].headers
    assert "Cookie" not in sent
    assert "Authorization" not in sent
    assert sent["Host"] == f"127.0.0.1:{pages.port}"


async def test_statuses_are_no_errors(pages: WebPages) -> None:
    found = await get(pages.show("/gone", "no", status=410), types=("application/json",))
    assert (found.status, found.text) == (410, "no")


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "ftp://example.org/", "gopher://127.0.0.1/", "javascript:alert(1)", "//example.org/x",
     "example.org", "", "http://", "http://:80/", "http://127.0.0.1:0/", "http://user@127.0.0.1/",
     "http://user:secret@127.0.0.1/", "http://127.0.0.1:99999/", "http://[::1", "http://a b/", "x" * 5000,
     "http://exa\\mple.org@127.0.0.1/"],
)  # fmt: skip
async def test_addresses_that_are_none(url: str) -> None:
    error = await refused(url)
    assert error.reason == "address"
    assert "secret" not in error.sentence


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]",
     "localhost", "169.254.169.254", "2852039166", "10.0.0.1", "0.0.0.0", "[::]"],
)  # fmt: skip
async def test_internal_addresses_are_not_asked(pages: WebPages, host: str) -> None:
    pages.show("/page", "secret")
    error = await refused(pages.url("/page", host), policy=PUBLIC)
    assert error.reason == "refused", error.sentence
    assert not pages.asked


async def test_the_operators_networks_are_fetched_from(pages: WebPages, settings: Any) -> None:
    url = pages.show("/page", "of the intranet")
    with pytest.raises(FetchError):
        await fetch(FetchRequest(url))
    settings.FETCH_ALLOWED_NETWORKS = ["127.0.0.0/8"]
    assert (await fetch(FetchRequest(url))).text == "of the intranet"


async def test_a_name_is_resolved_once_and_its_address_is_the_one_connected_to(
    pages: WebPages, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: a name that is allowed when it is checked and internal when it is used."""
    answers, asked = ["127.0.0.1", "127.0.0.2"], []
    real = socket.getaddrinfo

    def resolve(host: Any, port: Any, *rest: Any, **more: Any) -> Any:
        if host != "rebinding.example":
            return real(host, port, *rest, **more)
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (answers[min(len(asked), 2) - 1], port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    pages.show("/page", "found")
    url = pages.url("/page", "rebinding.example")
    assert (await get(url)).text == "found"
    assert len(asked) == 1
    assert pages.asked[0].headers["Host"] == f"rebinding.example:{pages.port}"
    assert (await refused(url)).reason == "refused"
    assert len(pages.asked) == 1


async def test_internal_names_are_not_told_from_unknown_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(host: Any, port: Any, *_: Any, **__: Any) -> Any:
        if host == "unknown.example":
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    unknown, internal = [await refused(f"http://{name}.example/", policy=PUBLIC) for name in ("unknown", "internal")]
    assert (unknown.reason, unknown.sentence) == (internal.reason, internal.sentence)
    assert "Check the address" in unknown.sentence


@pytest.mark.parametrize("target", [METADATA, "http://127.0.0.2/", "//127.0.0.2/", "http://2852039166/"])
async def test_a_redirect_to_an_internal_address_is_not_followed(pages: WebPages, target: str) -> None:
    assert (await refused(pages.redirect("/away", target))).reason == "refused"


@pytest.mark.parametrize("target", ["file:///etc/passwd", "http://user:pw@127.0.0.1/", "http://[::1", "gopher://x/"])
async def test_a_redirect_to_no_proper_address_is_not_followed(pages: WebPages, target: str) -> None:
    assert (await refused(pages.redirect("/away", target))).reason in ("address", "redirects")


async def test_redirects_are_followed_up_to_a_limit(pages: WebPages) -> None:
    pages.show("/5", "the end")
    for number in range(5):
        pages.redirect(f"/{number}", f"/{number + 1}", status=301 + number % 2)
    found = await get(pages.url("/0"))
    assert (found.text, found.url) == ("the end", pages.url("/5"))
    pages.redirect("/before", "/0")
    assert (await refused(pages.url("/before"))).reason == "redirects"
    assert (await refused(pages.redirect("/loop", "/loop"))).reason == "redirects"


async def test_headers_go_to_the_first_host_only(pages: WebPages) -> None:
    async with serve_pages() as other:
        target = other.show("/other", "elsewhere")
        url = pages.redirect("/away", target)
        assert (await get(url, headers={"Authorization": "Bearer secret", "X-Key": "secret"})).text == "elsewhere"
        assert pages.asked[0].headers["X-Key"] == "secret"
        assert not {"Authorization", "X-Key"} & set(other.asked[0].headers)
        error = await refused(pages.redirect("/moved", target, 307), method="POST", body=b"secret")
        assert error.reason == "redirects"
        assert len(other.asked) == 1


async def test_a_long_body_is_refused_or_cut(pages: WebPages) -> None:
    url = pages.show("/long", "x" * 5000)
    assert (await refused(url, max_bytes=1000)).reason == "size"
    found = await get(url, max_bytes=1000, cut=True)
    assert (len(found.body), found.cut) == (1000, True)
    found = await get(url, max_bytes=5000)
    assert (len(found.body), found.cut) == (5000, False)


async def test_a_body_that_never_ends(pages: WebPages) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/html"})
        await response.prepare(request)
        while True:
            await response.write(b"more " * 1000)

    pages.pages["/endless"] = endless
    assert (await refused(pages.url("/endless"), max_bytes=100_000)).reason == "size"
    assert (await get(pages.url("/endless"), max_bytes=100_000, cut=True)).cut


@pytest.mark.parametrize("begins", [True, False])
async def test_a_server_that_is_silent(pages: WebPages, begins: bool) -> None:
    release = asyncio.Event()

    async def silent(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/html"})
        if begins:
            await response.prepare(request)
            await response.write(b"<p>")
        await release.wait()
        return response

    pages.pages["/silent"] = silent
    error = await refused(pages.url("/silent"), seconds=0.2)
    release.set()
    assert error.reason == "time"
    assert not error.uncertain


async def test_a_compressed_bomb(pages: WebPages) -> None:
    bomb = gzip.compress(b"\0" * 20_000_000)
    url = pages.show("/bomb", bomb, Content_Encoding="gzip")
    assert (await refused(url, max_bytes=1_000_000)).reason == "size"
    found = await get(pages.show("/page", gzip.compress(b"short"), Content_Encoding="gzip"))
    assert found.text == "short"
    assert (await refused(pages.show("/not", b"plain", Content_Encoding="gzip"))).reason == "encoding"
    assert (await refused(pages.show("/brotli", b"plain", Content_Encoding="br"))).reason == "encoding"


async def test_types(pages: WebPages) -> None:
    url = pages.show("/picture", b"\x89PNG", "image/png")
    error = await refused(url, types=("text/*", "application/json"))
    assert error.reason == "type"
    assert (await get(pages.show("/text", "x", "text/plain"), types=("text/*",))).text == "x"


async def test_a_server_that_is_not_there() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    error = await refused(f"http://127.0.0.1:{port}/")
    assert (error.reason, "127.0.0.1" in error.sentence) == ("network", False)


async def test_a_server_that_speaks_no_http() -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n")
        writer.close()

    async with await asyncio.start_server(speak, "127.0.0.1", 0) as server:
        error = await refused(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
    assert error.reason == "network"


async def test_proxies_of_the_environment_are_not_used(pages: WebPages, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.2:1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.2:1")
    assert (await get(pages.show("/page", "direct"))).text == "direct"


async def test_the_operators_proxy_is_used_and_internal_addresses_still_refused(pages: WebPages, settings: Any) -> None:
    async with serve_pages() as proxy:
        settings.FETCH_PROXY = proxy.url("")
        proxy.show("/page", "by proxy")
        assert (await get("http://nowhere.invalid/page")).text == "by proxy"
        assert (await refused(METADATA)).reason == "refused"
        assert (await refused("http://localhost/page", policy=PUBLIC)).reason == "refused"
        assert len(proxy.asked) == 1
