"""A file uploaded through two web processes, of which one is killed in the middle of a chunk and of finishing."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import os
import signal
import threading
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import psutil
import pytest

from tests.client import Session, session
from tests.fakes.openai_server import FakeOpenAI
from tests.fixtures.measurements import measured
from tests.stack import Stack

pytestmark = pytest.mark.asyncio(loop_scope="function")
SYSTEM = {"web": 2, "workers": 1, "env": {}}
CHUNK = 4 * 1024 * 1024
SIZE = 5 * CHUNK + 12_345


async def send(browser: Session, upload: str, offset: int, body: Any) -> dict[str, Any]:
    headers = {"X-CSRFToken": browser._token(), "Referer": browser.url, "Origin": browser.url}
    async with browser.http.put(
        f"{browser.url}/uploads/{upload}/?offset={offset}", data=body, headers=headers
    ) as answer:
        found: dict[str, Any] = await answer.json()
        return found


async def post(browser: Session, path: str, data: dict[str, str] | None = None) -> tuple[int, dict[str, Any]]:
    async with await browser.post(path, data or {}) as answer:
        return answer.status, await answer.json()


async def slowly(content: bytes, halfway: asyncio.Event) -> AsyncIterator[bytes]:
    """A body of which the rest comes only after its receiver is gone."""
    yield content[: len(content) // 2]
    halfway.set()
    await asyncio.sleep(30)
    yield content[len(content) // 2 :]


async def test_a_web_process_that_is_killed_costs_at_most_the_chunk_in_progress(
    system: tuple[Stack, FakeOpenAI],
) -> None:
    stack, _ = system
    content = os.urandom(SIZE)
    async with (
        session(stack.webs[0].url, "alice@example.org") as first,
        session(stack.webs[1].url, "alice@example.org") as second,
    ):
        status, begun = await post(first, "/uploads/new/", {"name": "big.bin", "size": str(SIZE)})
        assert (status, begun["chunk_bytes"]) == (201, CHUNK)
        upload, at = begun["id"], 0
        for browser in (first, second):  # two tabs, at two processes
            at = (await send(browser, upload, at, io.BytesIO(content[at : at + CHUNK])))["received"]
        assert at == 2 * CHUNK

        halfway = asyncio.Event()
        cut = asyncio.create_task(send(first, upload, at, slowly(content[at : at + CHUNK], halfway)))
        await halfway.wait()
        stack.webs[0].kill(signal.SIGKILL)
        stack.webs[0].wait()
        with contextlib.suppress(aiohttp.ClientError):
            await cut
        again = await second.http.get(f"{second.url}/uploads/{upload}/")
        assert (await again.json())["received"] == at
        while at < SIZE:
            at = (await send(second, upload, at, io.BytesIO(content[at : at + CHUNK])))["received"]

        # Killed while it joins the chunks, or just before or after: the file is the same one all the same.
        finishing = asyncio.create_task(post(second, f"/uploads/{upload}/finish/"))
        await asyncio.sleep(0.02)
        stack.webs[1].kill(signal.SIGKILL)
        stack.webs[1].wait()
        with contextlib.suppress(aiohttp.ClientError):
            await finishing
        stack.webs[0].restart()
        status, made = await post(first, f"/uploads/{upload}/finish/")
        assert status == 200
        assert (made["file"]["id"], made["file"]["size"]) == (upload, SIZE)
        async with first.http.get(f"{first.url}/attachments/{upload}/") as answer:
            assert hashlib.sha256(await answer.read()).digest() == hashlib.sha256(content).digest()
    media = stack.folder / "var/media"
    assert not [path for path in (media / "uploads").rglob("*") if path.is_file()]
    [row] = stack.sql("SELECT path, size FROM chat_blob")
    assert (media / row["path"]).stat().st_size == row["size"] == SIZE


async def test_how_fast_it_is_and_how_much_memory_it_takes(system: tuple[Stack, FakeOpenAI]) -> None:
    """What one upload of 64 MiB costs a web process."""
    stack, _ = system
    stack.webs[0].restart()
    size = 64 * 1024 * 1024
    content = os.urandom(size)
    process = psutil.Process(stack.webs[0].pid)
    async with session(stack.webs[0].url, "alice@example.org") as browser:
        _status, begun = await post(browser, "/uploads/new/", {"name": "64.bin", "size": str(size)})
        before, most = process.memory_info().rss, [0]
        ended = threading.Event()

        def watch() -> None:
            while not ended.wait(0.01):
                most[0] = max(most[0], process.memory_info().rss)

        watcher = threading.Thread(target=watch)
        watcher.start()
        cpu, began, at = sum(process.cpu_times()[:2]), time.monotonic(), 0
        while at < size:
            at = (await send(browser, begun["id"], at, io.BytesIO(content[at : at + CHUNK])))["received"]
        uploaded = time.monotonic()
        status, _made = await post(browser, f"/uploads/{begun['id']}/finish/")
        ended.set()
        watcher.join()
        assert status == 200
        used = sum(process.cpu_times()[:2]) - cpu
        finishing = time.monotonic() - uploaded
        more = (most[0] - before) / 2**20
        measured(
            "upload of 64 MiB",
            f"{uploaded - began:.2f} s, finishing {finishing:.2f} s, CPU {used:.2f} s, memory +{more:.0f} MiB",
        )
        assert most[0] - before < 48 * 2**20  # not the file, and not a few chunks more than one
