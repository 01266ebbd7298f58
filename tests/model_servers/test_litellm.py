"""LiteLLM's proxy, connected once from the environment, once from the admin.

One of its models answers, one is over its limit, the server of one is away.
"""

from __future__ import annotations

from collections.abc import Generator

import pytest

from tests.client import session
from tests.model_servers import running
from tests.model_servers.asking import ALICE, OFF, add_endpoint, ask, offered, run_row
from tests.model_servers.running import ModelServer
from tests.stack import Stack, run_stack

pytestmark = [pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def server() -> Generator[ModelServer]:
    with running.litellm() as server:
        yield server


@pytest.fixture(scope="module", params=["environment", "admin"])
def stack(request: pytest.FixtureRequest, server: ModelServer) -> Generator[Stack]:
    key = running.LITELLM_KEY
    env = {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": key} if request.param == "environment" else {}
    with run_stack(env={**OFF, **env}) as stack:
        if request.param == "admin":
            add_endpoint(stack, "LiteLLM", server.url, key)
        yield stack


async def test_each_model_answers_or_says_why_not_and_stops_no_other(stack: Stack) -> None:
    async with session(stack.url, ALICE) as alice:
        client = await alice.connect()
        await offered(stack, "mock-small")
        for _ in range(3):  # failures of one model must not keep the others from answering
            _, run = await ask(client, "Hello", "always-down")
            assert run["final"]["type"] == "run.failed"
            _, run = await ask(client, "Hello", "mock-limited")
            assert (run["final"]["type"], run["final"]["code"]) == ("run.failed", "upstream_rate_limited")
            run_id, run = await ask(client, "Hello", "mock-small")
            assert (run["final"]["type"], run["text"]) == ("run.done", "The proxy answers with these words.")
        row = run_row(stack, run_id)
        assert row["input_tokens"] > 0
        assert row["output_tokens"] > 0


async def test_a_wrong_key_is_told_apart(server: ModelServer) -> None:
    env = {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "sk-wrong", "CHAT_MODELS": "mock-small"}
    with run_stack(env={**OFF, **env}) as stack:
        async with session(stack.url, ALICE) as alice:
            client = await alice.connect()
            _, run = await ask(client, "Hello", "mock-small")
            assert (run["final"]["type"], run["final"]["code"]) == ("run.failed", "upstream_unauthorized")
