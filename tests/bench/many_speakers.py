"""More people speak at once than the server has places for, with the default limits: each is heard, or told at once.
Called by `tests.bench.voice`.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

from tests.client import Client, Session, session
from tests.fakes.asr_speech import frames, silence, speak
from tests.integration.workers.speech.recordings import HEADER
from tests.stack import PASSWORD, run_stack

SENTENCE = "please open the window and call the doctor"


@dataclass
class Crowd:
    """`told_ms`: of those who were refused, how long it took. `final_ms`: of those who were heard, from the end of
    their sentence to its final transcript.
    """

    told_ms: list[float] = field(default_factory=list)
    final_ms: list[float] = field(default_factory=list)
    lost: int = 0  # heard nothing and were not told


async def speak_once(client: Client, crowd: Crowd, at: asyncio.Event) -> None:
    await at.wait()
    began = time.monotonic()
    fields: dict[str, Any] = {"encoding": "pcm_s16le", "sample_rate": 16000, "mode": "auto", "auto_send": False}
    started = await client.ask("audio.start", conversation_id=None, client_id=str(uuid.uuid4()), **fields)
    if started["type"] == "error":
        crowd.told_ms.append((time.monotonic() - began) * 1000)
        return
    spoken = silence(300) + speak(SENTENCE)
    began = time.monotonic()
    for number, chunk in enumerate(frames(spoken + silence(1_500), 100)):
        await asyncio.sleep(began + (number + 1) / 10 - time.monotonic())
        await client.ws.send_bytes(HEADER.pack(1, 0, started["stream"], number) + chunk.ljust(3200, b"\0"))
    with contextlib.suppress(TimeoutError):
        await client.next("transcript.final", recording_id=started["recording_id"], seconds=20)
    finals = [at for at, frame in zip(client.times, client.frames, strict=True) if frame["type"] == "transcript.final"]
    if finals:
        crowd.final_ms.append((finals[0] - began) * 1000 - len(spoken) / 32)
    else:
        crowd.lost += 1


async def crowd_of(people: int) -> Crowd:
    """So many people, each with an account, begin to speak at the same moment."""
    crowd = Crowd()
    manager = run_stack(env={"ASR_BACKENDS": "moonshine"})
    stack = await asyncio.to_thread(manager.__enter__)
    try:
        emails = [f"speaker{number}@example.org" for number in range(people)]
        made = f"[User.objects.create_user(email, {PASSWORD!r}) for email in {emails!r}]"
        await asyncio.to_thread(
            stack.manage, "shell", "--no-imports", "-c", f"from accounts.models import User; {made}"
        )
        async with contextlib.AsyncExitStack() as open_sessions:
            sessions: list[Session] = [
                await open_sessions.enter_async_context(session(stack.url, email)) for email in emails
            ]
            clients = [await one.connect() for one in sessions]
            at = asyncio.Event()
            work = [asyncio.create_task(speak_once(client, crowd, at)) for client in clients]
            at.set()
            await asyncio.gather(*work)
            for client in clients:
                await client.close()
        return crowd
    finally:
        await asyncio.to_thread(manager.__exit__, None, None, None)
