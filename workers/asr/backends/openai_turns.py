"""OpenAI's realtime transcription where the service finds the turns (server VAD).

Each turn is an item: `speech_started`, deltas, `speech_stopped`, `committed`, `completed`. Completions may cross: a
turn can begin, and even be done, before the one before it is. What is told keeps the order in which turns began.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
from dataclasses import dataclass
from typing import Any, Final

from websockets.asyncio.client import ClientConnection

from workers.asr.audio.resample import Upsampler
from workers.asr.backends.websocket import WireSession
from workers.asr.base import AsrError, unavailable
from workers.asr.utterances import Utterances

RATE: Final = 24_000
PREFIX: Final = "conversation.item.input_audio_transcription."
NO_AUDIO: Final = "input_audio_buffer_commit_empty"
COMMIT_SECONDS: Final = 1.0  # a commit is answered within


@dataclass(slots=True)
class Turn:
    start_ms: int
    end_ms: int
    speech: bool  # the service detected speech; else the turn comes from a commit
    text: str = ""
    done: bool = False


class TurnsSession(WireSession):
    """An `AsrSession`; `flush` commits what is in the service's buffer."""

    flush_type = "input_audio_buffer.commit"
    close_type = ""  # there is no such message: the connection is closed

    def __init__(self, connection: ClientConnection) -> None:
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.ready.add_done_callback(retrieve_exception)
        self._turns: dict[str, Turn] = {}  # in the order they began
        self._over: set[str] = set()
        self._answered = asyncio.Event()  # the last commit, or a turn's end
        self._upsampler = Upsampler()
        super().__init__(connection)
        self._utterances = Utterances(self.events)

    async def transmit(self, message: bytes | dict[str, Any]) -> None:
        if isinstance(message, bytes):
            audio = base64.b64encode(self._upsampler.feed(message)).decode()
            message = {"type": "input_audio_buffer.append", "audio": audio}
        await super().transmit(message)

    async def aclose(self, *, drain: bool = True, timeout: float = 5.0) -> None:  # noqa: ASYNC109 -- as in `AsrSession`
        if self.closing:
            return
        if drain:
            with contextlib.suppress(AsrError, TimeoutError):  # the iteration raises it
                async with asyncio.timeout(timeout):
                    self._answered.clear()
                    await self.flush()
                    async with asyncio.timeout(COMMIT_SECONDS):
                        await self._answered.wait()
                    while self._turns and not self.events.over:
                        self._answered.clear()
                        await self._answered.wait()
        self._keeper.cancel()
        await self.end()

    def on_message(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if kind in ("session.updated", "transcription_session.updated"):
            if not self.ready.done():
                self.ready.set_result(None)
        elif kind == "input_audio_buffer.speech_started":
            self._turn(message["item_id"], message["audio_start_ms"])
        elif kind == "input_audio_buffer.speech_stopped":
            turn = self._turn(message["item_id"])
            turn.end_ms = max(message["audio_end_ms"], turn.start_ms)
        elif kind == "input_audio_buffer.committed":
            self._turn(message["item_id"])
            self._answered.set()
        elif kind == PREFIX + "delta":
            self._turn(message["item_id"]).text += message["delta"]
        elif kind == PREFIX + "completed":
            turn = self._turn(message["item_id"])
            turn.text, turn.done = message["transcript"], True
            self._answered.set()
        elif kind == PREFIX + "failed":
            raise unavailable(f"transcription failed ({code_of(message)})")
        elif kind == "error":
            if code_of(message) != NO_AUDIO:
                raise unavailable(f"the service said {code_of(message)}")
            self._answered.set()
        self._publish()

    def _turn(self, item: str, start_ms: int | None = None) -> Turn:
        """Returns the turn of an item, a new one where none is open. A turn that has ended is not published again."""
        turn = self._turns.get(item)
        if turn is None:
            turn = Turn(start_ms or 0, start_ms or 0, speech=start_ms is not None)
            if item not in self._over:
                self._over.add(item)
                self._turns[item] = turn
        return turn

    def _publish(self) -> None:
        """Publishes the turns in their order: the first one as it grows, the next ones once it is done."""
        while self._turns:
            item, turn = next(iter(self._turns.items()))
            if not turn.done:
                if turn.speech:
                    self._utterances.start(turn.start_ms)
                self._utterances.partial(turn.text, turn.start_ms, turn.end_ms)
                return
            self._utterances.final(turn.text, turn.start_ms, turn.end_ms)
            del self._turns[item]

    def finish(self) -> None:
        for turn in self._turns.values():
            turn.done = True
        self._publish()

    def on_end(self, error: AsrError | None) -> None:
        if not self.ready.done():
            self.ready.set_exception(error or unavailable("the session is closed"))
        self._answered.set()
        super().on_end(error)


def code_of(message: dict[str, Any]) -> str:
    """The code of an error, cut for the log."""
    error = message.get("error") or {}
    return str(error.get("code") or error.get("type") or "error")[:60]


def retrieve_exception(future: asyncio.Future[Any]) -> None:
    """Marks the exception of a future as retrieved: asyncio would log one that nothing awaits."""
    if not future.cancelled():
        future.exception()
