"""llama.cpp's own server with a tiny random model, connected once from the environment, once from the admin.

The model ends an answer at its greatest length, never before. A byte of the questions is a token, but for the words in
`tiny_gguf.py`: so the server counts more tokens than Antiphon expects.
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
    connected,
    offered,
    run_row,
    send,
)
from tests.model_servers.relay import BEGINNING, Relay
from tests.model_servers.running import ModelServer
from tests.stack import Stack

pytestmark = [pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def server() -> Generator[ModelServer]:
    with running.llama_cpp() as server:
        yield server


@pytest.fixture(scope="module")
def model(server: ModelServer) -> str:
    """The name that the server gives its model: the path of its file."""
    name = str(json.loads(server.read("/v1/models"))["data"][0]["id"])
    assert name.endswith("/tiny-random.gguf")
    return name


async def is_idle(server: ModelServer) -> None:
    """Waits until the server computes nothing, which an answer of its own accord takes seconds to reach."""
    async with asyncio.timeout(SECONDS):
        while any(slot["is_processing"] for slot in json.loads(await asyncio.to_thread(server.read, "/slots"))):
            await asyncio.sleep(0.02)


def predicted(server: ModelServer) -> int:
    """Tokens that the server has written in all."""
    found = re.search(r"^llamacpp:tokens_predicted_total (\d+)", server.read("/metrics"), re.MULTILINE)
    assert found is not None
    return int(found[1])


async def test_an_answer_streams_ends_at_its_length_and_has_real_usage(stack: Stack, model: str) -> None:
    async with session(stack.url, ALICE) as alice:
        client = await alice.connect()
        await offered(alice, model)
        run_id, run = await ask(client, "hello you", model)
        assert (run["final"]["type"], run["final"]["finish"]) == ("run.done", "length")
        assert re.fullmatch(r"[a-z ]+", run["text"]), "the vocabulary's words"
        deltas = [frame for frame in client.frames if frame["type"] == "run.delta" and frame["run_id"] == run_id]
        assert len(deltas) > 5, "it came piece by piece"
        row = run_row(stack, run_id)
        assert not row["usage_estimated"]
        assert row["input_tokens"] > 20
        assert row["input_tokens"] + row["output_tokens"] == 2048, "the whole window"
        assert run["final"]["context"]["window"] == 2048


@pytest.fixture(params=[("openai_responses", "/v1"), ("anthropic", "")], ids=lambda param: param[0])
def other_api(request: pytest.FixtureRequest, relay: Relay) -> Generator[Stack]:
    """A stack that is connected to another API of the server."""
    kind, path = request.param
    with connected("admin", f"http://127.0.0.1:{relay.port}{path}", kind=kind) as stack:
        yield stack


async def test_its_other_apis(other_api: Stack, relay: Relay, model: str) -> None:
    async with session(other_api.url, ALICE) as alice:
        client = await alice.connect()
        await offered(alice, model)
        relay.hold_after(BEGINNING)  # so that both answers fit into the window
        accepted = await ask_and_stop(client, "hello you", model)
        relay.cut()
        run_id, run = await ask(client, "and the people?", model, accepted["conversation_id"])
        assert run["ended"] == "run.done", run
        assert re.fullmatch(r"[a-z ]+", run["text"])
        assert run["final"]["context"]["dropped"] == 0, "the answer before went with the question"
        row = run_row(other_api, run_id)
        assert (row["usage_estimated"], row["input_tokens"] + row["output_tokens"]) == (False, 2048), "the whole window"


async def test_a_stop_ends_the_request_at_the_server(stack: Stack, server: ModelServer, model: str) -> None:
    async with session(stack.url, ALICE) as alice:
        client = await alice.connect()
        await offered(alice, model)
        await is_idle(server)
        before = predicted(server)
        accepted = await ask_and_stop(client, "hello you", model)
        await is_idle(server)
        assert predicted(server) - before < 1900, "it would have written two thousand"
        assert run_row(stack, accepted["run_id"])["status"] == "stopped"


async def test_a_prompt_over_the_window_is_told_apart(stack: Stack, model: str) -> None:
    async with session(stack.url, ALICE) as alice:
        client = await alice.connect()
        await offered(alice, model)
        _, run = await ask(client, "hello you " * 3000, model)
        assert (run["final"]["type"], run["final"]["code"]) == ("run.failed", "context_too_long")
        assert "2,048" in run["final"]["message"], "the person is told how much the model reads"


async def test_older_turns_are_left_out_when_the_server_refuses(stack: Stack, model: str) -> None:
    async with session(stack.url, ALICE) as alice:
        client = await alice.connect()
        await offered(alice, model)
        conversation = None
        for _ in range(4):
            accepted = await ask_and_stop(client, "qz" * 300, model, conversation)
            conversation = accepted["conversation_id"]
        run_id, run = await ask(client, "hello you", model, conversation)
        assert (run["final"]["type"], run["final"]["finish"]) == ("run.done", "length")
        assert run["final"]["context"]["dropped"] > 0, "the page says how many"
        assert run_row(stack, run_id)["input_tokens"] < 2048


async def test_a_cut_answer_is_kept_and_goes_on(stack: Stack, server: ModelServer, relay: Relay, model: str) -> None:
    async with session(stack.url, ALICE) as alice:
        client = await alice.connect()
        await offered(alice, model)
        relay.hold_after(BEGINNING)
        accepted = await send(client, "hello you", model)
        await client.until(lambda: len(client.shown(accepted["run_id"])) >= 20, "the first words", SECONDS)
        relay.cut()
        run = await client.ended(accepted["run_id"], seconds=SECONDS)
        assert (run["final"]["type"], run["final"]["code"]) == ("run.failed", "upstream_cut")
        assert run["final"]["continuable"]
        await is_idle(server)
        again = await client.ask("message.continue", message_id=run["message_id"], client_id=str(uuid.uuid4()))
        whole = await client.ended(again["run_id"], seconds=SECONDS)
        assert whole["ended"] == "run.done", whole["final"].get("code")
        assert whole["text"].startswith(run["text"])
        assert len(whole["text"]) > len(run["text"])
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
        assert (run["final"]["type"], run["final"]["code"]) == ("run.failed", "upstream_cut")
        assert len(run["text"]) >= 20
        await asyncio.to_thread(server.start)
        run = await ask_until_it_answers(client, "hello again", model)
        assert run["final"]["finish"] == "length"
