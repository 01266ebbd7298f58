"""Transcribes the recordings that this worker process has claimed. Runs on the worker's event loop."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from accounts.lib.db import in_db
from chat.voice import recordings
from workers.asr.chain import Chain
from workers.asr.registry import open_chain
from workers.speech.session import DRAIN_SECONDS, TranscriptionSession


class Transcriber:
    """The recognisers of this process and the recordings in progress."""

    def __init__(self, owner: str, spawn: Callable[[Coroutine[Any, Any, None]], None]) -> None:
        self.owner = owner
        self.chain: Chain = open_chain()
        self.active: dict[uuid.UUID, TranscriptionSession] = {}
        self.draining = False
        self.spawn = spawn

    async def prepare(self) -> None:
        """Loads models, so that the first speaker does not wait for one."""
        await self.chain.prepare()

    async def transcribe(self, recording_id: uuid.UUID) -> None:
        """Claims the recording and transcribes it until it ends. Does nothing if another worker has claimed it."""
        if self.draining:
            return
        claimed = await in_db(recordings.claim, recording_id)
        if claimed is None:
            return
        structlog.contextvars.bind_contextvars(user=str(claimed.user_id))
        if claimed.conversation_id is not None:
            structlog.contextvars.bind_contextvars(conversation=str(claimed.conversation_id))
        session = TranscriptionSession(claimed, self.chain, owner=self.owner, spawn=self.spawn)
        self.active[recording_id] = session
        try:
            await session.run()
        finally:
            del self.active[recording_id]

    async def aclose(self) -> None:
        """Finishes the utterances in progress, for DRAIN_SECONDS at most, then closes the recognisers."""
        self.draining = True
        for session in self.active.values():
            session.end.stop("worker_stopped")
        deadline = time.monotonic() + DRAIN_SECONDS
        while self.active and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        await self.chain.aclose()
