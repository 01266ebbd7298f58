"""A server that speaks Deepgram's live v1, after the types of deepgram-sdk 7.17 and the public documentation."""

from __future__ import annotations

import asyncio
import json
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from tests.fakes.asr_ears import Sound
from tests.fakes.asr_socket import SocketServer


class FakeDeepgram(SocketServer):
    """`segments`: the words of an utterance are closed one by one with `is_final`, as Deepgram does on long speech."""

    segments = True

    def refuse(self, connection: ServerConnection, request: Request) -> Response | None:
        query = parse_qs(urlsplit(request.path).query)
        if urlsplit(request.path).path != "/v1/listen":
            return connection.respond(HTTPStatus.NOT_FOUND, "")
        if request.headers.get("Authorization") != f"Token {self.key}":
            return connection.respond(HTTPStatus.UNAUTHORIZED, '{"err_code":"INVALID_AUTH"}')
        if query.get("encoding") != ["linear16"] or query.get("sample_rate") != ["16000"]:
            return connection.respond(HTTPStatus.BAD_REQUEST, '{"err_code":"Bad Request"}')
        return None

    async def serve(self, connection: ServerConnection) -> None:
        ears = self.listen()
        told = 0  # words of the utterance closed by is_final so far
        started = 0.0

        async def results(words: tuple[str, ...], at_ms: int, **flags: bool) -> None:
            nonlocal told
            mine = words[told:]
            if flags.get("is_final"):
                told = 0 if flags.get("speech_final") or flags.get("from_finalize") else len(words)
            spread = [
                {"word": word, "start": started + 0.1 * n, "end": max(at_ms / 1000, started), "confidence": 0.9,
                 "punctuated_word": word} for n, word in enumerate(mine)
            ]  # fmt: skip
            message: dict[str, Any] = {
                "type": "Results", "channel_index": [0, 1], "duration": max(at_ms / 1000 - started, 0.0),
                "start": started, "is_final": False, "speech_final": False, "from_finalize": False,
                "channel": {"alternatives": [{"transcript": " ".join(mine), "confidence": 0.9, "words": spread}]},
                "metadata": {"request_id": "r", "model_uuid": "m",
                             "model_info": {"name": "fake", "version": "1", "arch": "fake"}},
            }  # fmt: skip
            await connection.send(json.dumps(message | flags))

        async def hear(sound: Sound) -> None:
            nonlocal started, told
            if sound.kind == "start":
                told = 0
                started = sound.at_ms / 1000
                await connection.send(
                    json.dumps({"type": "SpeechStarted", "channel": [0], "timestamp": sound.at_ms / 1000})
                )
            elif sound.kind == "words":
                await results(sound.words, sound.at_ms)
                if self.segments and len(sound.words) == 2:
                    await results(sound.words, sound.at_ms, is_final=True)
            elif self.script == "no_speech_final":
                await results(sound.words, sound.at_ms, is_final=True)
                end = {"type": "UtteranceEnd", "channel": [0, 1], "last_word_end": sound.at_ms / 1000}
                await connection.send(json.dumps(end))
            else:
                await results(sound.words, sound.at_ms, is_final=True, speech_final=True)
                end = {"type": "UtteranceEnd", "channel": [0, 1], "last_word_end": sound.at_ms / 1000}
                await connection.send(json.dumps(end))  # comes as well; not a second final

        async for message in self.messages(connection):
            if isinstance(message, bytes):
                for sound in ears.feed(message):
                    await hear(sound)
                continue
            kind = json.loads(message)["type"]
            if kind == "Finalize":
                sounds = ears.end()
                words = sounds[0].words if sounds else ()
                await results(words, ears.heard_ms, is_final=True, from_finalize=True)
            elif kind == "CloseStream":
                for sound in ears.end():
                    await hear(sound)
                meta = {"type": "Metadata", "transaction_key": "deprecated", "request_id": "r", "sha256": "",
                        "created": "2026-01-01T00:00:00Z", "duration": ears.heard_ms / 1000, "channels": 1}  # fmt: skip
                await connection.send(json.dumps(meta))
                await asyncio.sleep(0)
                await connection.close(1000)
                return
            else:
                assert kind == "KeepAlive", kind
