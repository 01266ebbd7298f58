"""A guarded client connects only to the addresses that its policy allows, whatever the name resolves to."""

from __future__ import annotations

import socket
from ipaddress import ip_network
from typing import Any

import httpx2
import pytest

from tests.fakes.web_pages import serve_pages
from workers.providers.address_policy import ENDPOINTS, PUBLIC, AddressPolicy
from workers.providers.guarded import guard_client

ONE = AddressPolicy(public_only=True, allowed=(ip_network("127.0.0.1/32"),))


async def test_an_allowed_address_is_connected_to_with_the_names_host() -> None:
    async with serve_pages() as pages, guard_client(httpx2.AsyncClient(trust_env=False), ONE) as client:
        pages.show("/page", "found")
        answer = await client.get(pages.url("/page", "localhost"))
        assert answer.text == "found"
        assert pages.asked[0].headers["Host"] == f"localhost:{pages.port}"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "[::ffff:127.0.0.1]"])
async def test_others_are_not_connected_to(host: str) -> None:
    async with serve_pages() as pages, guard_client(httpx2.AsyncClient(trust_env=False), PUBLIC) as client:
        with pytest.raises(httpx2.ConnectError):
            await client.get(pages.url("/page", host))
        assert not pages.asked


async def test_a_name_that_leads_to_credentials_of_a_cloud(monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.getaddrinfo

    def resolve(host: Any, port: Any, *rest: Any, **more: Any) -> Any:
        return real("169.254.169.254" if host == "innocent.example" else host, port, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    async with guard_client(httpx2.AsyncClient(trust_env=False), ENDPOINTS) as client:
        with pytest.raises(httpx2.ConnectError, match="may not be connected to"):
            await client.get("http://innocent.example/latest/meta-data/")


async def test_a_name_is_resolved_once_for_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: the address that was checked is the one connected to, and a new connection is checked anew."""
    answers = ["127.0.0.1", "127.0.0.2"]  # allowed, then not
    asked: list[str] = []
    real = socket.getaddrinfo

    def resolve(host: Any, port: Any, *rest: Any, **more: Any) -> Any:
        if host != "rebinding.example":
            return real(host, port, *rest, **more)
        asked.append(host)
        return real(answers[min(len(asked), 2) - 1], port, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    limits = httpx2.Limits(max_keepalive_connections=0)
    async with (
        serve_pages("0.0.0.0") as pages,
        guard_client(httpx2.AsyncClient(trust_env=False, limits=limits), ONE) as client,
    ):
        pages.show("/page", "found")
        url = pages.url("/page", "rebinding.example")
        assert (await client.get(url)).text == "found"
        assert len(asked) == 1
        with pytest.raises(httpx2.ConnectError, match="may not be connected to"):
            await client.get(url)
        assert len(pages.asked) == 1


async def test_a_name_that_does_not_exist() -> None:
    async with guard_client(httpx2.AsyncClient(trust_env=False), ENDPOINTS) as client:
        with pytest.raises(httpx2.ConnectError):
            await client.get("http://nowhere.invalid/")
