"""A server that speaks Speechmatics' real-time v2, after its published AsyncAPI document and speechmatics-rt 1.2."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from tests.fakes.asr_ears import Sound
from tests.fakes.asr_socket import SocketServer


class FakeSpeechmatics(SocketServer):
    """`config`: of the last session. `refuses`: the type of the error that answers `StartRecognition`, if any.

    With the script "no_start" it never answers that. Words become final two behind the last one, as with a `max_delay`.
    """

    config: dict[str, Any]
    refuses = ""
    last_seq_no = -1  # of the last session that was ended in order

    def refuse(self, connection: ServerConnection, request: Request) -> Response | None:
        if urlsplit(request.path).path not in ("/v2", "/v2/"):
            return connection.respond(HTTPStatus.NOT_FOUND, "")
        if request.headers.get("Authorization") != f"Bearer {self.key}":
            return connection.respond(HTTPStatus.UNAUTHORIZED, "")
        return None

    async def _error(self, connection: ServerConnection, kind: str, code: int) -> None:
        await connection.send(json.dumps({"message": "Error", "type": kind, "reason": f"{kind} of {self.key}"}))
        await connection.close(code, kind)

    async def _start(self, connection: ServerConnection) -> bool:
        request = json.loads(await connection.recv())
        assert request["message"] == "StartRecognition", request
        self.config = request["transcription_config"]
        audio = request["audio_format"]
        if audio != {"type": "raw", "encoding": "pcm_s16le", "sample_rate": 16_000}:
            await self._error(connection, "invalid_audio_type", 1003)
            return False
        silence = self.config.get("conversation_config", {}).get("end_of_utterance_silence_trigger", 0)
        if not 0 <= silence <= 2 or not 0.7 <= self.config.get("max_delay", 4) <= 4:
            await self._error(connection, "invalid_config", 1003)
            return False
        if self.refuses:
            await self._error(connection, self.refuses, {"quota_exceeded": 4005}.get(self.refuses, 4001))
            return False
        if self.script == "no_start":
            await connection.wait_closed()
            return False
        info = {"adapted": False, "itn": True, "language_description": "English", "word_delimiter": " ",
                "writing_direction": "left-to-right"}  # fmt: skip
        started = {"message": "RecognitionStarted", "id": "s", "orchestrator_version": "fake",
                   "language_pack_info": info}  # fmt: skip
        await connection.send(json.dumps(started))
        return True

    async def serve(self, connection: ServerConnection) -> None:
        if not await self._start(connection):
            return
        ears = self.listen()
        chunks, start, final = 0, 0, 0  # `final`: how many words of the utterance are final

        async def transcript(kind: str, words: tuple[str, ...], first: int, at_ms: int, **more: bool) -> None:
            results = [
                {"type": "word", "start_time": (start + 100 * n) / 1000, "end_time": max(start + 100 * n, at_ms) / 1000,
                 "alternatives": [{"content": word, "confidence": 0.9, "language": "en"}]}
                for n, word in enumerate(words, first)
            ]  # fmt: skip
            text = "".join(f"{word} " for word in words)
            metadata = {"start_time": start / 1000, "end_time": max(start, at_ms) / 1000, "transcript": text}
            message = {"message": kind, "format": "2.9", "metadata": metadata, "results": results, **more}
            await connection.send(json.dumps(message))

        async def hear(sound: Sound, *, ends: bool = True, **more: bool) -> None:
            nonlocal start, final
            if sound.kind == "start":
                start, final = sound.at_ms, 0
            elif sound.kind == "words":
                if len(sound.words) - final > 2:
                    await transcript("AddTranscript", sound.words[final : final + 1], final, sound.at_ms)
                    final += 1
                await transcript("AddPartialTranscript", sound.words[final:], final, sound.at_ms)
            else:
                await transcript("AddTranscript", sound.words[final:], final, sound.at_ms, **more)
                if ends:
                    await end_utterance(sound.at_ms, **more)

        async def end_utterance(at_ms: int, **more: bool) -> None:
            times = {"start_time": at_ms / 1000, "end_time": at_ms / 1000}
            await connection.send(json.dumps({"message": "EndOfUtterance", "metadata": times, **more}))

        async for message in self.messages(connection):
            if isinstance(message, bytes):
                chunks += 1
                await connection.send(json.dumps({"message": "AudioAdded", "seq_no": chunks}))
                for sound in ears.feed(message):
                    await hear(sound)
                continue
            request = json.loads(message)
            if request["message"] == "ForceEndOfUtterance":
                assert request.get("timestamp", 0) >= 0
                for sound in ears.end():
                    await hear(sound, forced=True)
            else:
                assert request["message"] == "EndOfStream", request
                self.last_seq_no = request["last_seq_no"]
                assert self.last_seq_no == chunks, "the service waits for all audio that was announced"
                for sound in ears.end():
                    await hear(sound, ends=False)  # the transcript ends with it
                await connection.send(json.dumps({"message": "EndOfTranscript"}))
