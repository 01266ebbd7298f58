"""`transformers serve` with a tiny random model, connected once from the environment, once from the admin.

It does not refuse what is longer than the model's window, and does not say how long that is.
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
from tests.model_servers.running import BIN, ModelServer
from tests.stack import Stack

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(not (BIN / "transformers").exists(), reason="make test-servers TRANSFORMERS=1 installs it"),
]


@pytest.fixture(scope="module")
def server() -> Generator[ModelServer]:
    with running.transformers() as server:
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


async def test_an_answer_streams_and_has_real_usage(stack: Stack, model: str) -> None:
    async with session(stack.url, ALICE) as alice:
        client = await alice.connect()
        await offered(alice, model)
        run_id, run = await ask(client, "hello", model)
        assert (run["ended"], run["final"]["finish"]) == ("run.done", "length")
        assert re.fullmatch(r"[a-z]+", run["text"]), "the letters that it says"
        deltas = [frame for frame in client.frames if frame["type"] == "run.delta" and frame["run_id"] == run_id]
        assert len(deltas) > 5, "it came piece by piece"
        row = run_row(stack, run_id)
        assert (row["usage_estimated"], row["output_tokens"]) == (False, len(run["text"]))
        assert row["input_tokens"] > 10


async def test_a_stop_ends_the_computing(stack: Stack, server: ModelServer, model: str) -> None:
    async with session(stack.url, ALICE) as alice:
        client = await alice.connect()
        await offered(alice, model)
        _, whole = await ask(client, "hello", model)
        await is_idle(server)
        began = server.cpu_seconds()
        accepted = await ask_and_stop(client, "hello", model)
        await is_idle(server)
        stopped = server.cpu_seconds() - began
        began = server.cpu_seconds()
        await ask(client, "hello", model)
        assert stopped < (server.cpu_seconds() - began) / 2
        assert 20 <= len(client.shown(accepted["run_id"])) < len(whole["text"])


async def test_a_cut_answer_is_kept_and_goes_on(stack: Stack, relay: Relay, model: str) -> None:
    async with session(stack.url, ALICE) as alice:
        client = await alice.connect()
        await offered(alice, model)
        relay.hold_after(BEGINNING)
        accepted = await send(client, "hello", model)
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
        accepted = await send(client, "hello", model)
        await client.until(lambda: len(client.shown(accepted["run_id"])) >= 20, "the first words", SECONDS)
        server.kill()
        relay.cut()
        run = await client.ended(accepted["run_id"], seconds=SECONDS)
        assert (run["ended"], run["final"]["code"]) == ("run.failed", "upstream_cut")
        await asyncio.to_thread(server.start)
        await ask_until_it_answers(client, "hello again", model)
