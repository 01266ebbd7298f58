"""fakellm, a mock server with two APIs: it lists no models and streams no usage in its OpenAI API."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from tests.client import session
from tests.model_servers import running
from tests.model_servers.asking import ALICE, BOTH, ask, connected, offered, run_row
from tests.model_servers.running import ModelServer
from tests.stack import Stack

pytestmark = [pytest.mark.timeout(600)]

APIS = {"openai_chat": ("/v1", "gpt-4o-mini"), "anthropic": ("", "claude-of-a-mock")}


@pytest.fixture(scope="module")
def server() -> Generator[ModelServer]:
    with running.fakellm() as server:
        yield server


@pytest.fixture(scope="module", params=[(where, kind) for where in BOTH for kind in APIS], ids=" ".join)
def connection(request: pytest.FixtureRequest, server: ModelServer) -> Generator[tuple[Stack, str]]:
    """A stack, and the model, which staff named."""
    where, kind = request.param
    path, model = APIS[kind]
    with connected(where, server.url + path, key="sk-any-key-will-do", kind=kind, model=model) as stack:
        yield stack, model


async def test_an_answer_and_a_call_of_a_tool_that_nobody_offered(connection: tuple[Stack, str]) -> None:
    stack, model = connection
    async with session(stack.url, ALICE) as alice:
        client = await alice.connect()
        await offered(alice, model)
        run_id, run = await ask(client, "hello", model)
        assert (run["ended"], run["text"]) == ("run.done", "Hi there, from a mock server.")
        row = run_row(stack, run_id)
        assert row["output_tokens"] > 0
        assert row["usage_estimated"], "it counts the question alone, without the instructions, so ours is billed"
        _, run = await ask(client, "call something", model, options={"tools": []})
        assert (run["ended"], run["final"]["code"]) == ("run.failed", "upstream_tool_call")
        # With tools it calls one that is not among them, again and again: it is told so until it has had its steps.
        _, run = await ask(client, "call something", model)
        assert (run["ended"], run["final"]["finish"]) == ("run.done", "tool_limit")
        assert run["final"]["message"] == "The model went on calling tools and gave no answer."
