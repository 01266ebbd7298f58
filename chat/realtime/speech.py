"""An answer that is spoken on one connection: what was sent of it, and what its listener has played."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass, field

from chat.protocol.speaking import SPEECH_BYTES_PER_MS


@dataclass(slots=True)
class Speech:
    """An answer that is spoken. `sending` is the number of the sentence whose audio is sent."""

    id: uuid.UUID
    stream: int
    message_id: uuid.UUID
    voice: str
    speed: float
    language: str
    texts: dict[int, str] = field(default_factory=dict)  # of sentences that are not sent yet
    asked: set[int] = field(default_factory=set)  # of a worker, and not sent yet: places (`chat.voice.speeches`)
    sending: int = 0
    frames: int = 0
    sent_ms: dict[int, float] = field(default_factory=dict)  # by sentence
    played: tuple[int, int] = (0, 0)  # number of a sentence, ms of it
    closed: bool = False
    counted: bool = False  # among those of its user that are spoken
    wake: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def total_ms(self) -> float:
        return sum(self.sent_ms.values())

    def sent_bytes(self, number: int) -> int:
        """How much audio of a sentence was sent."""
        return round(self.sent_ms[number] * SPEECH_BYTES_PER_MS)

    @property
    def played_ms(self) -> float:
        """Never more than was sent, whatever the client says."""
        number, ms = self.played
        whole = sum(sent for one, sent in self.sent_ms.items() if one < number)
        return whole + min(ms, self.sent_ms.get(number, 0))
