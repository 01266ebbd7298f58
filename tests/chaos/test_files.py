"""Workers and web processes that are killed while files are embedded, read and given to a model: nothing is lost, made
twice or charged twice.
"""

from __future__ import annotations

import asyncio
import io
import json
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from tests import made_files as made
from tests.chaos.driving import holder, poll, restart, scene
from tests.chaos.test_knowledge import COLLECTIONS
from tests.chaos.test_uploads import post, send
from tests.client import Session, session
from tests.fakes.asr_recognisers import run_in_thread
from tests.fakes.embedding_server import EmbeddingServer
from tests.fakes.openai_server import FakeOpenAI
from tests.stack import Stack

pytestmark = pytest.mark.asyncio(loop_scope="function")
LEASE = 4.0
SYSTEM = {"web": 2, "workers": 2, "env": {"RUN_LEASE_SECONDS": str(LEASE), "CHAT_MODELS": "small"}}
CREATE = """
from workers.models import Embedder, Endpoint
endpoint = Endpoint.objects.create(name="vectors", kind="openai_chat", base_url={url!r}, use="standby")
Embedder.objects.create(name="Vectors", endpoint=endpoint, model="vectors", enabled=True)
"""
EXPIRE = "UPDATE chat_embedding SET claimed_until = clock_timestamp() WHERE state = 'pending' RETURNING blob_id"


@pytest.fixture
def vectors(system: tuple[Stack, FakeOpenAI]) -> Iterator[EmbeddingServer]:
    stack, _ = system
    with run_in_thread(EmbeddingServer) as server:
        server.answers_left = 0
        stack.manage("shell", "--no-imports", "-c", CREATE.format(url=server.url))
        yield server
        server.answers_left = None
        stack.manage("shell", "--no-imports", "-c", "from workers.models import *; Embedder.objects.all().delete()")


def _stored(stack: Stack) -> int:
    """How many passages have a vector."""
    [row] = stack.sql("SELECT coalesce(sum(cardinality(starts)), 0)::int AS passages FROM chat_passagevectors")
    return int(row["passages"])


async def upload(browser: Session, name: str, content: bytes) -> str:
    status, begun = await post(browser, "/uploads/new/", {"name": name, "size": str(len(content))})
    assert status == 201
    await send(browser, begun["id"], 0, io.BytesIO(content))
    status, finished = await post(browser, f"/uploads/{begun['id']}/finish/")
    assert status == 200
    file_id: str = finished["file"]["id"]
    return file_id


async def test_workers_that_are_killed_while_they_embed_a_collection(
    system: tuple[Stack, FakeOpenAI], vectors: EmbeddingServer
) -> None:
    stack, _ = system
    async with session(stack.url, "alice@example.org") as browser:
        async with await browser.post(f"{COLLECTIONS}new/", {"name": "Handbook"}) as answer:
            assert answer.status == 302
        [row] = stack.sql("SELECT id FROM chat_collection")
        for number in range(3):
            text = "".join(f"Sentence {at} of file {number} says something.\n" for at in range(3_000))
            file_id = await upload(browser, f"{number}.txt", text.encode())
            status, _added = await post(browser, f"{COLLECTIONS}{row['id']}/add/", {"file": file_id})
            assert status == 200
        for stored in (0, 1):  # killed at the beginning, then in the middle
            await poll(lambda: vectors.waiting > 0, "request for vectors", 60)
            assert (_stored(stack) > 0) == (stored > 0)
            for worker in stack.workers:
                worker.kill(signal.SIGKILL)
                worker.wait()
            await poll(lambda: vectors.waiting == 0, "end of the requests of those that are dead")
            stack.sql(EXPIRE)  # as time does
            before = _stored(stack)
            vectors.answers_left = 2
            for worker in stack.workers:
                worker.restart()
            await poll(lambda before=before: _stored(stack) > before, "vectors", 90)  # type: ignore[misc]
        vectors.answers_left = None
        await poll(
            lambda: len(stack.sql("SELECT 1 FROM chat_embedding WHERE state = 'done'")) == 3, "vectors of all files", 90
        )
    # Each passage has one vector, and each stored vector was paid for once, whatever was asked for again.
    passages = set(vectors.texts)
    assert _stored(stack) == len(passages)
    [paid] = stack.sql("SELECT sum(input_tokens) AS tokens FROM accounts_usageentry WHERE purpose = 'embedding'")
    assert paid["tokens"] == sum(len(text.split()) for text in passages)


async def test_a_worker_that_is_killed_while_it_answers_about_files(system: tuple[Stack, FakeOpenAI]) -> None:
    stack, upstream = system
    async with scene(stack) as here:
        browser = here.alice
        file_id = await upload(browser, "note.txt", b"The crocodile waits in the river.")
        client = await here.connect()
        accepted = await client.say("Who waits? [[tokens=5 first_delay=3]]", None, attachments=[file_id])
        assert accepted["type"] == "message.accepted", accepted
        run_id = accepted["run_id"]
        query = "SELECT 1 FROM chat_run WHERE id = %s AND status = 'running'"
        await poll(lambda: stack.sql(query, run_id), "the run", 20)
        await poll(lambda: len(_with_file(upstream)) == 1, "the first request", 20)
        victim = await asyncio.to_thread(holder, stack, run_id)
        victim.kill(signal.SIGKILL)
        run = await client.ended(run_id, seconds=LEASE + 30)
        assert (run["ended"], run["attempt"]) == ("run.done", 2)
        await restart(victim)
        await here.judge()
    assert len(_with_file(upstream)) >= 2  # each attempt had the file
    uses = stack.sql("SELECT kind, given, total FROM chat_fileuse WHERE run_id = %s", run_id)
    assert [tuple(one.values()) for one in uses] == [("full", 1, 1)]
    assert len(stack.sql("SELECT 1 FROM accounts_usageentry WHERE run_id = %s", run_id)) == 1


async def test_workers_and_a_web_process_that_are_killed_while_an_answer_waits_for_its_file(
    system: tuple[Stack, FakeOpenAI],
) -> None:
    """The file is still being read when all workers die; the page's web process dies, too."""
    stack, upstream = system
    pages = [f"Page {page} of the report. " + "Words go on. " * 120 for page in range(1, 400)]
    content = made.pdf([*pages, "The walrus waits on page four hundred."])
    async with session(stack.webs[0].url, "alice@example.org") as browser:
        file_id = await upload(browser, "report.pdf", content)
        client = await browser.connect(views={})
        accepted = await client.say("Who waits, the walrus? [[tokens=5]]", None, attachments=[file_id])
        assert accepted["type"] == "message.accepted", accepted
        for process in [*stack.workers, stack.webs[0]]:
            process.kill(signal.SIGKILL)
            process.wait()
        await client.drop()
        for worker in stack.workers:
            worker.restart()
        run_id = accepted["run_id"]
        ended = "SELECT status FROM chat_run WHERE id = %s AND status IN ('done', 'failed', 'interrupted')"
        [row] = await poll(lambda: stack.sql(ended, run_id), "the end of the run", 90)
        await restart(stack.webs[0])
    assert row["status"] == "done"
    assert "walrus" in json.dumps(_last(upstream).body)
    [blob] = stack.sql("SELECT b.state FROM chat_blob b JOIN chat_file f ON f.blob_id = b.id WHERE f.id = %s", file_id)
    assert blob["state"] == "read"
    assert len(stack.sql("SELECT 1 FROM chat_fileuse WHERE run_id = %s", run_id)) == 1
    assert len(stack.sql("SELECT 1 FROM accounts_usageentry WHERE run_id = %s", run_id)) == 1
    files = {path for path in (stack.folder / "var/media/uploads").rglob("*") if path.is_file()}
    assert not files


def _with_file(upstream: FakeOpenAI) -> list[Any]:
    return [one for one in upstream.chats if "The crocodile waits" in json.dumps(one.body)]


def _last(upstream: FakeOpenAI) -> Any:
    """The last request of an answer: not one for a title."""
    return [one for one in upstream.chats if "Who waits, the walrus" in json.dumps(one.body)][-1]
