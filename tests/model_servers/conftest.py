"""A stack in front of the server of the test's file (its fixture `server`), behind a relay that can cut connections."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from tests.model_servers.asking import BOTH, connected
from tests.model_servers.relay import Relay
from tests.model_servers.running import ModelServer
from tests.stack import Stack


@pytest.fixture(scope="module")
def relay(server: ModelServer) -> Generator[Relay]:
    with Relay(server.port) as relay:
        yield relay


@pytest.fixture(scope="module", params=BOTH)
def stack(request: pytest.FixtureRequest, relay: Relay) -> Generator[Stack]:
    with connected(request.param, f"http://127.0.0.1:{relay.port}/v1") as stack:
        yield stack
