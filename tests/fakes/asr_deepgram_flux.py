"""A server that speaks Deepgram's live v2 (Flux), after the types of deepgram-sdk 7.17 and the public documentation."""

from __future__ import annotations

import json
from http import HTTPStatus
from itertools import count
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from tests.fakes.asr_ears import Sound
from tests.fakes.asr_socket import SocketServer


class FakeFlux(SocketServer):
    """`query`: of the last connection. With the script "resumed" each turn seems to end once before it does."""

    query: dict[str, list[str]]

    def refuse(self, connection: ServerConnection, request: Request) -> Response | None:
        self.query = parse_qs(urlsplit(request.path).query)
        if urlsplit(request.path).path != "/v2/listen":
            return connection.respond(HTTPStatus.NOT_FOUND, "")
        if request.headers.get("Authorization") != f"Token {self.key}":
            return connection.respond(HTTPStatus.UNAUTHORIZED, '{"err_code":"INVALID_AUTH"}')
        if not self.query.get("model", [""])[0].startswith("flux-"):
            return connection.respond(HTTPStatus.BAD_REQUEST, '{"err_code":"Bad Request"}')
        return None

    async def serve(self, connection: ServerConnection) -> None:
        ears, numbers = self.listen(), count(1)
        turn, window = 0, 0.0
        await connection.send(json.dumps({"type": "Connected", "request_id": "r", "sequence_id": 0}))

        async def say(event: str, words: tuple[str, ...], at_ms: int, trigger: str = "") -> None:
            heard = [{"word": word, "confidence": 0.9} for word in words]
            message: dict[str, object] = {
                "type": "TurnInfo", "request_id": "r", "sequence_id": next(numbers), "event": event, "turn_index": turn,
                "audio_window_start": window, "audio_window_end": max(at_ms / 1000, window),
                "transcript": " ".join(words), "words": heard, "end_of_turn_confidence": 0.1,
            }  # fmt: skip
            await connection.send(json.dumps(message | ({"trigger": trigger} if trigger else {})))

        async def hear(sound: Sound, trigger: str = "model") -> None:
            nonlocal turn, window
            if sound.kind == "start":
                window = sound.at_ms / 1000
                await say("Update", (), sound.at_ms)
            elif sound.kind == "words":
                await say("StartOfTurn" if len(sound.words) == 1 else "Update", sound.words, sound.at_ms)
                if self.script == "resumed" and sound.words:
                    await say("EagerEndOfTurn", sound.words, sound.at_ms)
                    await say("TurnResumed", sound.words, sound.at_ms)
            else:
                await say("EndOfTurn", sound.words, sound.at_ms, trigger)
                turn += 1
                window = sound.at_ms / 1000

        async for message in self.messages(connection):
            if isinstance(message, bytes):
                for sound in ears.feed(message):
                    await hear(sound)
                continue
            kind = json.loads(message)["type"]
            assert kind in {"ForceEndTurn", "CloseStream"}, kind
            for sound in ears.end():
                await hear(sound, "manual")
            if kind == "CloseStream":
                await connection.close(1000)
                return
