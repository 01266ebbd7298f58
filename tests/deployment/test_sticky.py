"""Stickiness is not needed (tests/deployment/test_proxies.py has none), and does no harm."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from tests.client import session
from tests.deployment import test_proxies
from tests.deployment.closing import let_connections_close
from tests.deployment.proxies import StickyNginx
from tests.deployment.sites import Site, site_behind

__all__ = ["let_connections_close"]  # for the tests here, too
pytestmark = [
    pytest.mark.asyncio(loop_scope="function"),
    pytest.mark.skipif(not StickyNginx.is_installed(), reason="nginx is not installed (Debian: apt install nginx)"),
    pytest.mark.timeout(180),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Generator[Site, None, None]:
    with site_behind(StickyNginx, tmp_path_factory.mktemp("sticky")) as running:
        yield running


async def test_one_address_stays_with_one_process(site: Site) -> None:
    async with session(site.url, trust=site.trust) as alice:
        clients = [await alice.connect() for _ in range(6)]
        assert sorted(map(bool, site.sockets_opened())) == [False, True]
        for client in clients:
            await client.close()


async def test_its_process_is_deployed(site: Site) -> None:
    """Its sockets go to the other process, and resume."""
    await test_proxies.test_a_deploy_of_both_processes_loses_nothing(site)
