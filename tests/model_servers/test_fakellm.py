"""fakellm: a mock server with rules."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from tests.client import session
from tests.model_servers import running
from tests.model_servers.asking import ALICE, OFF, ask
from tests.model_servers.running import ModelServer
from tests.stack import run_stack

pytestmark = [pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def server() -> Generator[ModelServer]:
    with running.fakellm() as server:
        yield server


async def test_answers_and_refusals(server: ModelServer) -> None:
    env = {"OPENAI_BASE_URL": f"{server.url}/v1", "CHAT_MODELS": "gpt-4o-mini"}
    with run_stack(env={**OFF, **env}) as stack:
        async with session(stack.url, ALICE) as alice:
            client = await alice.connect()
            _, run = await ask(client, "hello", "gpt-4o-mini")
            assert (run["final"]["type"], run["text"]) == ("run.done", "Hi there, from a mock server.")
            _, run = await ask(client, "too many", "gpt-4o-mini")
            assert (run["final"]["type"], run["final"]["code"]) == ("run.failed", "upstream_rate_limited")
