"""Upgrades without a valid ticket are limited by network (RATE_REFUSED_UPGRADES); those with one never are."""

from __future__ import annotations

from typing import Any

import pytest
from channels.testing import WebsocketCommunicator
from pytest_django.fixtures import Settings
from structlog.testing import capture_logs

from accounts.auth import upgrade_limit, websocket
from accounts.auth.tickets import issue_ticket
from accounts.auth.websocket import TicketAuthMiddleware
from tests.integration.accounts.auth.test_websocket import KEY, USER, Inner

pytestmark = pytest.mark.usefixtures("clean_redis")
OFFICE, ELSEWHERE = "192.0.2.1", "192.0.2.2"


@pytest.fixture(autouse=True)
def _limit(settings: Settings) -> None:
    settings.RATE_REFUSED_UPGRADES = "5/h"


class Door:
    """One web process."""

    def __init__(self) -> None:
        self.inner = Inner()
        self.middleware = TicketAuthMiddleware(self.inner, "chat.v1")

    async def knock(self, address: str, *, valid: bool) -> bool:
        """Whether the socket is let in."""
        ticket = issue_ticket(USER, KEY) if valid else "x" * 43
        headers = [
            (b"origin", b"http://localhost:8000"),
            (b"host", b"localhost:8000"),
            (b"cookie", f"sessionid={KEY}".encode()),
        ]
        socket = WebsocketCommunicator(self.middleware, "/ws/", headers, ["chat.v1", f"ticket.{ticket}"])
        scope: dict[str, Any] = socket.scope
        scope["client"] = [address, 0]
        accepted, _ = await socket.connect()
        await socket.wait()
        return bool(accepted)


async def test_a_network_that_guesses_is_refused_before_anything_is_looked_up() -> None:
    door = Door()
    before = websocket.refused["rate"]
    with capture_logs() as lines:
        for _ in range(9):
            assert not await door.knock(OFFICE, valid=False)
    assert [line["reason"] for line in lines] == ["ticket"] * 5 + ["rate"], "one line for all that are over the limit"
    assert websocket.refused["rate"] == before + 4
    assert not await door.knock(OFFICE, valid=True), "its tickets are not looked at either"
    assert await door.knock(ELSEWHERE, valid=True)


async def test_everybody_of_an_office_reconnects_at_once() -> None:
    door = Door()
    for _ in range(30):
        assert await door.knock(OFFICE, valid=True)
    assert len(door.inner.scopes) == 30
    assert not await door.knock(OFFICE, valid=False)
    assert await door.knock(OFFICE, valid=True)


async def test_an_outage_is_nobodys_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    async def unavailable(*_: Any) -> None:
        raise websocket.HandshakeError(websocket.UNAVAILABLE)

    door = Door()
    with monkeypatch.context() as patch:
        patch.setattr(websocket, "authenticate", unavailable)
        for _ in range(10):
            assert not await door.knock(OFFICE, valid=True)
    assert await door.knock(OFFICE, valid=True)


async def test_addresses_of_one_ipv6_network_count_together() -> None:
    door = Door()
    for number in range(5):
        assert not await door.knock(f"2001:db8::{number}", valid=False)
    assert not await door.knock("2001:db8::99", valid=True)
    assert await door.knock("2001:db8:0:1::1", valid=True)


async def test_the_memory_for_networks_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upgrade_limit, "MOST_NETWORKS", 3)
    limit = upgrade_limit.UpgradeLimit()
    for number in range(10):
        assert not limit.is_over(f"192.0.2.{number}", 0.0)
    assert list(limit._networks) == ["192.0.2.7", "192.0.2.8", "192.0.2.9"]


async def test_off(settings: Settings) -> None:
    settings.RATE_REFUSED_UPGRADES = "off"
    door = Door()
    for _ in range(10):
        assert not await door.knock(OFFICE, valid=False)
    assert await door.knock(OFFICE, valid=True)
