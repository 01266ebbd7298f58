"""Stickiness is not needed (tests/deployment/test_proxies.py has none), and does no harm."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from tests.client import session
from tests.deployment import test_proxies
from tests.deployment.closing import let_connections_close
from tests.deployment.proxies import StickyNginx
from tests.deployment.test_proxies import Site
from tests.deployment.tls import make_certificate
from tests.fakes.openai_server import FakeOpenAI
from tests.fixtures.stacks import model_env
from tests.stack import run_stack

__all__ = ["let_connections_close"]  # for the tests here, too
pytestmark = [
    pytest.mark.asyncio(loop_scope="function"),
    pytest.mark.skipif(not StickyNginx.is_installed(), reason="nginx is not installed (Debian: apt install nginx)"),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Generator[Site, None, None]:
    folder = tmp_path_factory.mktemp("sticky")
    certificate = make_certificate(folder)
    proxy = StickyNginx(folder / "proxy", certificate, ())
    env = {
        "HTTPS": "1", "TRUSTED_PROXIES": "1", "ALLOWED_HOSTS": "localhost", "ALLOWED_ORIGINS": proxy.url,
        "LOGIN_RATE": "100000/m/ip",
    }  # fmt: skip
    with FakeOpenAI() as upstream, run_stack(web=2, workers=1, env={**model_env(upstream), **env}) as stack:
        proxy.upstreams = [web.port for web in stack.webs]
        proxy.start()
        try:
            yield Site(stack, proxy, certificate.trusted())
        finally:
            proxy.stop()


async def test_one_address_stays_with_one_process(site: Site) -> None:
    async with session(site.url, trust=site.trust) as alice:
        clients = [await alice.connect() for _ in range(6)]
        assert sorted(map(bool, await test_proxies._open_sockets(site))) == [False, True]
        for client in clients:
            await client.close()


async def test_its_process_is_deployed(site: Site) -> None:
    """Its sockets go to the other process, and resume."""
    await test_proxies.test_a_deploy_of_both_processes_loses_nothing(site)
