"""What a connection knows of one of its recordings (`chat.realtime.microphone`)."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass, field
from typing import Any

from chat.voice.intake import AudioChunk, Backlog, Intake


@dataclass(slots=True)
class Recorder:
    """A recording in progress. `id` is None until its row exists, `intake` until a worker listens."""

    stream: int
    ref: str | None
    id: uuid.UUID | None = None
    opened: bool = False
    stopping: bool = False
    closed: bool = False
    intake: Intake | None = None
    backlog: Backlog = field(default_factory=Backlog)
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    early: list[dict[str, Any]] = field(default_factory=list)
    complained: float = 0.0

    def push(self, entry: AudioChunk) -> None:
        self.backlog.push(entry)
        self.wake.set()

    def command(self, name: str) -> None:
        self.push(AudioChunk(self.intake.audio_bytes if self.intake else 0, command=name))
