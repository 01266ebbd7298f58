"""How long it takes from a sentence of an answer to its first sound, where the speech server answers at once: what is
left is our part of it. Called by `tests.bench.voice`.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from typing import Final

from tests.client import Client, session
from tests.fakes.asr_recognisers import KEY, run_in_thread
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.speech_server import FakeSpeech
from tests.stack import Stack, run_stack

LISTENERS: Final = (1, 4)


async def listen(client: Client, sentences: int, name: str) -> list[float]:
    """Milliseconds from `tts.say` to the first binary frame, of each sentence."""
    accepted = await client.say('Speak [[text="One sentence."]]')
    message = (await client.ended(accepted["run_id"]))["message_id"]
    found = []
    for number in range(sentences):
        started = await client.ask("tts.start", message_id=message)
        before, began = len(client.audio), time.monotonic()
        text = f"This is sentence {number} of {name}, of which nothing is in a cache."
        await client.send("tts.say", speech_id=started["speech_id"], number=0, text=text)
        await client.until(lambda: len(client.audio) > before, "audio", 60)  # noqa: B023 -- awaited at once
        found.append((time.monotonic() - began) * 1000)
        await client.ask("tts.stop", speech_id=started["speech_id"])
    return found


async def measure(stack: Stack, emails: Sequence[str], sentences: int) -> list[float]:
    """Of so many people, since one person may only listen to a few answers at once."""
    async with contextlib.AsyncExitStack() as opened:
        people = [await opened.enter_async_context(session(stack.url, email)) for email in emails]
        clients = [await person.connect() for person in people]
        work = (listen(client, sentences, f"{len(emails)}-{place}") for place, client in enumerate(clients))
        found = await asyncio.gather(*work)
        for client in clients:
            await client.close()
    return [one for each in found for one in each]


async def first_sounds(
    sentences: int, env: dict[str, str] | None = None, listeners: Sequence[int] = LISTENERS
) -> dict[int, list[float]]:
    """Milliseconds by how many listen at once. `env`: of another backend than the server that answers at once."""
    with FakeOpenAI() as upstream, run_in_thread(lambda: FakeSpeech.run(KEY)) as speech:
        common = {
            "OPENAI_BASE_URL": upstream.url, "OPENAI_API_KEY": "sk-test", "CHAT_MODELS": "small",
            "SPEECH_BACKENDS": "openai", "SPEECH_URL": speech.url, "SPEECH_API_KEY": KEY,
        }  # fmt: skip
        manager = run_stack(env=common | (env or {}))
        stack = await asyncio.to_thread(manager.__enter__)
        try:
            emails = [await asyncio.to_thread(stack.add_user, f"Listener{place}") for place in range(max(listeners))]
            await measure(stack, emails[:1], 1)  # the first is for caches
            return {number: await measure(stack, emails[:number], sentences) for number in listeners}
        finally:
            await asyncio.to_thread(manager.__exit__, None, None, None)
