"""`manage.py up` with settings in `.env`: they reach the processes that it starts, which do not read the file."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest

from tests.client import Session
from tests.fakes.openai_server import FakeOpenAI
from tests.integration.config.stack.up import Up

pytestmark = pytest.mark.timeout(600)  # as in test_up

KEY = "sk-from-the-file-5d20"
PASSWORD = "from the file as well"


async def test_a_model_and_its_key_in_the_file(up: Callable[..., Up], old_data: Path, tmp_path: Path) -> None:
    file = tmp_path / "settings"
    with FakeOpenAI(api_key=KEY, models=["named-by-the-server"]) as upstream:
        file.write_text(f"OPENAI_BASE_URL={upstream.url}\nOPENAI_API_KEY={KEY}\nADMIN_PASSWORD={PASSWORD}\n")
        one = up(var=old_data, ANTIPHON_ENV_FILE=str(file), forked=True)
        await asyncio.to_thread(one.await_start)
        assert f"Model   127.0.0.1:{upstream.port} " in one.output(), "it says which model it is connected to"
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
            browser = Session(one.known["url"], http)
            await browser.login("admin@localhost", PASSWORD)
            client = await browser.connect()
            said = await client.say("Hello [[tokens=2]]", model="named-by-the-server")
            run = await client.ended(said["run_id"], 60)
            assert (run["ended"], run["text"]) == ("run.done", "tok0 tok1 ")
            assert upstream.chats[-1].headers["authorization"] == f"Bearer {KEY}"
