"""A server that speaks AssemblyAI's Universal-Streaming v3, after the types of assemblyai 1.8 and the documentation."""

from __future__ import annotations

import contextlib
import json
import time
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlsplit

from websockets import ConnectionClosed
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from tests.fakes.asr_ears import Sound
from tests.fakes.asr_socket import SocketServer


class FakeAssemblyAI(SocketServer):
    """`terminated` counts the sessions that said Terminate: the others are billed on."""

    terminated = 0

    def refuse(self, connection: ServerConnection, request: Request) -> Response | None:
        parts = urlsplit(request.path)
        query = parse_qs(parts.query)
        if parts.path != "/v3/ws":
            return connection.respond(HTTPStatus.NOT_FOUND, "")
        if request.headers.get("Authorization") != self.key:
            return connection.respond(HTTPStatus.UNAUTHORIZED, "")
        if not query.get("speech_model") or query.get("sample_rate") != ["16000"]:
            return connection.respond(HTTPStatus.BAD_REQUEST, "")
        older = query["speech_model"][0].startswith("universal-streaming")
        self.format_turns = query.get("format_turns", ["false"])[0].lower() == "true"
        if self.format_turns and not older:
            return connection.respond(HTTPStatus.BAD_REQUEST, "format_turns was removed")
        self.always_formats = not older
        self.languages = json.loads(query.get("language_codes", ["[]"])[0])
        return None

    async def serve(self, connection: ServerConnection) -> None:
        ears = self.listen()
        await connection.send(json.dumps({"type": "Begin", "id": "s", "expires_at": int(time.time()) + 10_800}))
        order, start = 0, 0

        async def say(message: dict[str, Any]) -> None:
            with contextlib.suppress(ConnectionClosed):  # what the client sent before it left still counts
                await connection.send(json.dumps(message))

        async def turn(words: tuple[str, ...], at_ms: int, *, end: bool = False, formatted: bool = False) -> None:
            heard = [
                {"text": word, "start": start + 100 * n, "end": at_ms, "confidence": 0.8,
                 "word_is_final": end or n + 1 < len(words)} for n, word in enumerate(words)
            ]  # fmt: skip
            final = words if end else words[:-1]
            message: dict[str, Any] = {
                "type": "Turn", "turn_order": order, "turn_is_formatted": formatted, "end_of_turn": end,
                "transcript": " ".join(final),
                "end_of_turn_confidence": 0.9 if end else 0.02, "words": heard, "utterance": "",
            }  # fmt: skip
            await say(message)

        async def hear(sound: Sound) -> None:
            nonlocal order, start
            if sound.kind == "start":
                start = sound.at_ms
                await say({"type": "SpeechStarted", "timestamp": sound.at_ms})
            elif sound.kind == "words":
                await turn(sound.words, sound.at_ms)
            else:
                await turn(sound.words, sound.at_ms, end=True, formatted=self.always_formats)
                if self.format_turns and self.script != "unformatted":
                    await turn(sound.words, sound.at_ms, end=True, formatted=True)
                order += 1

        async for message in self.messages(connection):
            if isinstance(message, bytes):
                if not 50 <= len(message) // 32 <= 1000:
                    await connection.close(3007, "Input Duration Violation")
                    return
                for sound in ears.feed(message):
                    await hear(sound)
                continue
            kind = json.loads(message)["type"]
            self.terminated += kind == "Terminate"
            if kind in ("ForceEndpoint", "Terminate"):
                for sound in ears.end():
                    await hear(sound)
            if kind == "Terminate":
                seconds = round(ears.heard_ms / 1000)
                end = {"type": "Termination", "audio_duration_seconds": seconds, "session_duration_seconds": seconds}
                await connection.send(json.dumps(end))
                await connection.close(1000)
                return
