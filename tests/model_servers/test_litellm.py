"""LiteLLM's proxy, connected once from the environment, once from the admin.

One of its models it answers itself, one is over its limit, the server of one is away, and one is llama.cpp's.
"""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from collections.abc import Generator

import pytest

from tests.client import session
from tests.model_servers import running
from tests.model_servers.asking import (
    ALICE,
    BOTH,
    SECONDS,
    ask,
    ask_and_stop,
    ask_until_it_answers,
    connected,
    offered,
    run_row,
    send,
)
from tests.model_servers.running import ModelServer
from tests.stack import Stack

pytestmark = [pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def behind() -> Generator[ModelServer]:
    with running.llama_cpp() as server:
        yield server


@pytest.fixture(scope="module")
def server(behind: ModelServer) -> Generator[ModelServer]:
    with running.litellm(behind) as server:
        yield server


@pytest.fixture(scope="module", params=BOTH)
def stack(request: pytest.FixtureRequest, server: ModelServer) -> Generator[Stack]:
    with connected(request.param, server.url, key=running.LITELLM_KEY) as stack:
        yield stack


async def is_idle(behind: ModelServer) -> None:
    async with asyncio.timeout(SECONDS):
        while any(slot["is_processing"] for slot in json.loads(await asyncio.to_thread(behind.read, "/slots"))):
            await asyncio.sleep(0.02)


async def test_each_model_answers_or_says_why_not_and_stops_no_other(stack: Stack) -> None:
    async with session(stack.url, ALICE) as alice:
        client = await alice.connect()
        await offered(alice, "mock-small")
        for _ in range(3):  # failures of one model must not keep the others from answering
            _, run = await ask(client, "Hello", "always-down")
            assert run["ended"] == "run.failed"
            _, run = await ask(client, "Hello", "mock-limited")
            assert (run["ended"], run["final"]["code"]) == ("run.failed", "upstream_rate_limited")
            run_id, run = await ask(client, "Hello", "mock-small")
            assert (run["ended"], run["text"]) == ("run.done", "The proxy answers with these words.")
        row = run_row(stack, run_id)
        assert row["input_tokens"] > 0
        assert row["output_tokens"] > 0


async def test_a_stop_reaches_the_server_behind_it(stack: Stack, behind: ModelServer) -> None:
    async with session(stack.url, ALICE) as alice:
        client = await alice.connect()
        await offered(alice, "tiny-behind")
        run_id, run = await ask(client, "hello you", "tiny-behind")
        assert (run["ended"], run["final"]["finish"]) == ("run.done", "length")
        row = run_row(stack, run_id)
        assert (row["usage_estimated"], row["input_tokens"] + row["output_tokens"]) == (False, 2048)
        await ask_and_stop(client, "hello you", "tiny-behind")
        await is_idle(behind)


async def test_a_prompt_over_the_window_is_told_apart_and_the_window_is_learnt(stack: Stack) -> None:
    async with session(stack.url, ALICE) as alice:
        client = await alice.connect()
        await offered(alice, "tiny-behind")
        _, run = await ask(client, "hello you " * 3000, "tiny-behind")
        assert (run["ended"], run["final"]["code"]) == ("run.failed", "context_too_long")
        _, run = await ask(client, "hello you", "tiny-behind")
        assert run["final"]["context"]["window"] == 2048


async def test_a_restart_in_mid_answer_keeps_the_text_and_the_answer_goes_on(
    stack: Stack, server: ModelServer, behind: ModelServer
) -> None:
    async with session(stack.url, ALICE) as alice:
        client = await alice.connect()
        await offered(alice, "tiny-behind")
        accepted = await send(client, "hello you", "tiny-behind")
        await client.until(lambda: len(client.shown(accepted["run_id"])) >= 20, "the first words", SECONDS)
        server.kill()
        run = await client.ended(accepted["run_id"], seconds=SECONDS)
        assert (run["ended"], run["final"]["code"], run["final"]["continuable"]) == ("run.failed", "upstream_cut", True)
        await is_idle(behind)
        await asyncio.to_thread(server.start)
        await ask_until_it_answers(client, "hello again", "mock-small")
        again = await client.ask("message.continue", message_id=run["message_id"], client_id=str(uuid.uuid4()))
        whole = await client.ended(again["run_id"], seconds=SECONDS)
        assert whole["ended"] == "run.done", whole
        assert whole["text"].startswith(run["text"])


@pytest.fixture(
    params=[("openai_responses", "/v1"), ("anthropic", ""), ("gemini", "/v1beta")], ids=lambda param: param[0]
)
def other_api(request: pytest.FixtureRequest, server: ModelServer) -> Generator[Stack]:
    """A stack that is connected to another API of the proxy."""
    kind, path = request.param
    key = running.LITELLM_KEY
    with connected("admin", server.url + path, key=key, kind=kind, model="tiny-behind") as stack:
        yield stack


async def test_its_other_apis(other_api: Stack) -> None:
    async with session(other_api.url, ALICE) as alice:
        client = await alice.connect()
        await offered(alice, "tiny-behind")
        accepted = await ask_and_stop(client, "hello you", "tiny-behind")
        run_id, run = await ask(client, "and the people?", "tiny-behind", accepted["conversation_id"])
        assert run["ended"] == "run.done", run
        assert re.fullmatch(r"[a-z ]+", run["text"])
        row = run_row(other_api, run_id)
        assert (row["usage_estimated"], row["input_tokens"] + row["output_tokens"]) == (False, 2048)
        _, run = await ask(client, "hello you " * 3000, "tiny-behind")
        assert (run["ended"], run["final"]["code"]) == ("run.failed", "context_too_long")


async def test_a_wrong_key_is_told_apart(server: ModelServer) -> None:
    with connected("environment", server.url, key="sk-wrong-key-of-nobody", model="mock-small") as stack:
        async with session(stack.url, ALICE) as alice:
            client = await alice.connect()
            _, run = await ask(client, "Hello", "mock-small")
            assert (run["ended"], run["final"]["code"]) == ("run.failed", "upstream_unauthorized")
