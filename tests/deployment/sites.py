"""A site of two web processes behind one of the proxies."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.deployment.proxies import Proxy
from tests.deployment.tls import make_certificate
from tests.fakes.openai_server import FakeOpenAI
from tests.fixtures.stacks import model_env
from tests.stack import Stack, run_stack


@dataclass
class Site:
    """Two web processes and a worker, and the proxy before them."""

    stack: Stack
    proxy: Proxy
    trust: ssl.SSLContext

    @property
    def url(self) -> str:
        return self.proxy.url

    def sockets_opened(self) -> list[int]:
        """How many sockets each process has had."""
        return [web.output().count("socket connected") for web in self.stack.webs]


@contextlib.contextmanager
def site_behind(
    kind: type[Proxy],
    folder: Path,
    *,
    env: Mapping[str, str] | None = None,
    env_of: Mapping[str, Mapping[str, str]] | None = None,
) -> Generator[Site, None, None]:
    """A running site; `env` and `env_of` as of `run_stack`, beside what a site behind a proxy has."""
    certificate = make_certificate(folder)
    proxy = kind(folder / "proxy", certificate, ())
    settings = {
        "HTTPS": "1", "TRUSTED_PROXIES": "1", "ALLOWED_HOSTS": "localhost", "ALLOWED_ORIGINS": proxy.url,
        "LOGIN_RATE": "100000/m/ip", **(env or {}),
    }  # fmt: skip
    with (
        FakeOpenAI() as upstream,
        run_stack(web=2, workers=1, env={**model_env(upstream), **settings}, env_of=env_of) as stack,
    ):
        proxy.upstreams = [web.port for web in stack.webs]
        try:
            proxy.start()
            yield Site(stack, proxy, certificate.trusted())
        finally:
            proxy.stop()
