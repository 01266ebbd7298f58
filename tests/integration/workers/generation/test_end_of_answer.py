"""What happens at the same time when an answer has ended."""

from __future__ import annotations

import asyncio

import pytest

from accounts.lib.db import in_db
from accounts.models import User
from chat.turns.submit import announce
from tests.fixtures.run_rows import row, say
from tests.fixtures.written_answers import Model, Worker
from workers.generation import run as generation_run
from workers.generation.run import Generation

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis", "layer")]


async def test_an_answer_is_rendered_while_its_last_words_go_into_the_log(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = asyncio.Event()

    class Pool:
        async def render_soon(self, text: str) -> str:
            begun.set()
            return f"<p>{text}</p>"

    flush = Generation._flush

    async def flush_later(self: Generation) -> bool:
        async with asyncio.timeout(30):
            await begun.wait()
        return await flush(self)

    monkeypatch.setattr(generation_run, "shared_pool", Pool)
    monkeypatch.setattr(Generation, "_flush", flush_later)
    turn = await in_db(say, alice)
    await announce(turn)
    await Worker().write(turn, Model("Some words"))
    ended = await in_db(row, turn.run_id)
    assert (ended.status, ended.message.text, ended.message.html) == ("done", "Some words", "<p>Some words</p>")
