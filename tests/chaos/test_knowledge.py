"""A collection that is being read while its workers are killed: every file is ready in the end, and read once."""

from __future__ import annotations

import asyncio
import io
import json
import signal

import pytest

from tests import made_files as made
from tests.chaos.test_uploads import post, send
from tests.client import Session, session
from tests.fakes.openai_server import FakeOpenAI
from tests.stack import Stack

pytestmark = pytest.mark.asyncio(loop_scope="function")
SYSTEM = {"web": 1, "workers": 2, "env": {}}
FILES = 6
PAGES = 60
COLLECTIONS = "/accounts/settings/collections/"


async def add(browser: Session, collection: str, number: int) -> None:
    """Uploads a PDF of its own and puts it into the collection."""
    content = made.pdf([f"Page {page} of file {number}. " + "Words go on. " * 100 for page in range(1, PAGES + 1)])
    status, begun = await post(browser, "/uploads/new/", {"name": f"{number}.pdf", "size": str(len(content))})
    assert status == 201
    await send(browser, begun["id"], 0, io.BytesIO(content))
    status, finished = await post(browser, f"/uploads/{begun['id']}/finish/")
    assert status == 200
    status, added = await post(browser, f"{COLLECTIONS}{collection}/add/", {"file": finished["file"]["id"]})
    assert (status, added["new"]) == (200, True)


async def test_workers_that_are_killed_while_they_read_a_collection(system: tuple[Stack, FakeOpenAI]) -> None:
    stack, _ = system
    async with session(stack.url, "alice@example.org") as browser:
        async with await browser.post(f"{COLLECTIONS}new/", {"name": "Handbook"}) as answer:
            assert answer.status == 302
        [row] = stack.sql("SELECT id FROM chat_collection")
        collection = str(row["id"])
        for number in range(FILES):
            await add(browser, collection, number)
        for worker in stack.workers:
            worker.kill(signal.SIGKILL)
            worker.wait()
            worker.restart()
        for _ in range(240):
            async with browser.http.get(f"{browser.url}{COLLECTIONS}{collection}/state/") as answer:
                state = json.loads(await answer.read())
            if not state["pending"]:
                break
            await asyncio.sleep(0.5)
    assert state == {"files": FILES, "ready": FILES, "failed": 0, "pending": 0}
    rows = stack.sql("SELECT blob_id, count(*) AS pages, count(words) AS found FROM chat_filetext GROUP BY blob_id")
    assert [(row["pages"], row["found"]) for row in rows] == [(PAGES, PAGES)] * FILES
