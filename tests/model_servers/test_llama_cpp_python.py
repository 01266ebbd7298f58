"""llama-cpp-python's server with a tiny random model, connected once from the environment, once from the admin.

Its streams have no usage, and its list has no windows. A prompt over the window gets HTTP 200 with an empty body. It
answers one request at a time. By default the next one ends the one before with `[DONE]` and no finish reason, which is
read as a cut (`tests/fakes/openai_oddities.py`), so it runs with `--interrupt_requests false` here.
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
    SECONDS,
    ask,
    ask_and_stop,
    ask_until_it_answers,
    offered,
    run_row,
    send,
)
from tests.model_servers.relay import BEGINNING, Relay
from tests.model_servers.running import ModelServer
from tests.stack import Stack

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(not running.has_llama_cpp_python(), reason="make test-servers LLAMA_CPP_PYTHON=1 compiles it"),
]


@pytest.fixture(scope="module")
def server() -> Generator[ModelServer]:
    with running.llama_cpp_python() as server:
        yield server


@pytest.fixture(scope="module")
def model(server: ModelServer) -> str:
    return str(json.loads(server.read("/v1/models"))["data"][0]["id"])


async def is_idle(server: ModelServer) -> None:
    """Waits until the server computes next to nothing."""
    async with asyncio.timeout(SECONDS):
        before = server.cpu_seconds()
        while True:
            await asyncio.sleep(1)
            now = server.cpu_seconds()
            if now - before < 0.1:
                return
            before = now


async def test_an_answer_streams_and_its_usage_is_estimated(stack: Stack, model: str) -> None:
    async with session(stack.url, ALICE) as alice:
        client = await alice.connect()
        await offered(alice, model)
        run_id, run = await ask(client, "hello you", model)
        assert (run["ended"], run["final"]["finish"]) == ("run.done", "length")
        assert re.fullmatch(r"[a-z ]+", run["text"]), "the vocabulary's words"
        deltas = [frame for frame in client.frames if frame["type"] == "run.delta" and frame["run_id"] == run_id]
        assert len(deltas) > 5, "it came piece by piece"
        row = run_row(stack, run_id)
        assert row["usage_estimated"]
        assert 1000 < row["output_tokens"] < 4000, "it wrote two thousand words"


async def test_a_stop_ends_the_computing(stack: Stack, server: ModelServer, model: str) -> None:
    async with session(stack.url, ALICE) as alice:
        client = await alice.connect()
        await offered(alice, model)
        await is_idle(server)
        began = server.cpu_seconds()
        _, whole = await ask(client, "hello you", model)
        await is_idle(server)
        asked = server.cpu_seconds() - began
        began = server.cpu_seconds()
        accepted = await ask_and_stop(client, "hello you", model)
        await is_idle(server)
        assert server.cpu_seconds() - began < asked * 0.8
        assert 20 <= len(client.shown(accepted["run_id"])) < len(whole["text"])


async def test_older_turns_are_left_out_where_it_sends_nothing(stack: Stack, model: str) -> None:
    async with session(stack.url, ALICE) as alice:
        client = await alice.connect()
        await offered(alice, model)
        conversation = None
        for _ in range(4):
            accepted = await ask_and_stop(client, "qz" * 300, model, conversation)
            conversation = accepted["conversation_id"]
        _, run = await ask(client, "hello you", model, conversation)
        assert (run["ended"], run["final"]["finish"]) == ("run.done", "length"), run["final"]
        assert run["final"]["context"]["dropped"] > 0, "the page says how many"


async def test_a_question_over_the_window_is_no_answer(stack: Stack, model: str) -> None:
    async with session(stack.url, ALICE) as alice:
        client = await alice.connect()
        await offered(alice, model)
        _, run = await ask(client, "hello you " * 3000, model)
        assert (run["ended"], run["final"]["code"]) == ("run.failed", "upstream_empty")
        assert "shorten" in run["final"]["message"]


async def test_a_cut_answer_is_kept_and_goes_on(stack: Stack, relay: Relay, model: str) -> None:
    async with session(stack.url, ALICE) as alice:
        client = await alice.connect()
        await offered(alice, model)
        relay.hold_after(BEGINNING)
        accepted = await send(client, "hello you", model)
        await client.until(lambda: len(client.shown(accepted["run_id"])) >= 20, "the first words", SECONDS)
        relay.cut()
        run = await client.ended(accepted["run_id"], seconds=SECONDS)
        assert (run["ended"], run["final"]["code"], run["final"]["continuable"]) == ("run.failed", "upstream_cut", True)
        again = await client.ask("message.continue", message_id=run["message_id"], client_id=str(uuid.uuid4()))
        whole = await client.ended(again["run_id"], seconds=SECONDS)
        assert whole["ended"] == "run.done", whole["final"].get("code")
        assert whole["text"].startswith(run["text"])
        assert whole["final"]["message_usage"]["runs"] == 2


async def test_a_restart_in_mid_answer_keeps_the_text_and_the_next_answer_comes(
    stack: Stack, server: ModelServer, relay: Relay, model: str
) -> None:
    async with session(stack.url, ALICE) as alice:
        client = await alice.connect()
        await offered(alice, model)
        relay.hold_after(BEGINNING)
        accepted = await send(client, "hello you", model)
        await client.until(lambda: len(client.shown(accepted["run_id"])) >= 20, "the first words", SECONDS)
        server.kill()
        relay.cut()
        run = await client.ended(accepted["run_id"], seconds=SECONDS)
        assert (run["ended"], run["final"]["code"]) == ("run.failed", "upstream_cut")
        await asyncio.to_thread(server.start)
        run = await ask_until_it_answers(client, "hello again", model)
        assert run["final"]["finish"] == "length"
