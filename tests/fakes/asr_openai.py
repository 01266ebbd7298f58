"""Servers that speak OpenAI's realtime transcription (GA and beta) and `/v1/audio/transcriptions`."""

from __future__ import annotations

import base64
import io
import json
import wave
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from aiohttp import web
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from tests.fakes.asr_ears import recognise
from tests.fakes.asr_socket import SocketServer

PREFIX = "conversation.item.input_audio_transcription."


class FakeRealtime(SocketServer):
    """`beta`: only the older form is understood."""

    beta = False

    def refuse(self, connection: ServerConnection, request: Request) -> Response | None:
        parts = urlsplit(request.path)
        query = parse_qs(parts.query)
        if parts.path != "/v1/realtime" or query.get("intent") != ["transcription"]:
            return connection.respond(HTTPStatus.NOT_FOUND, "")
        if request.headers.get("Authorization") != f"Bearer {self.key}":
            return connection.respond(HTTPStatus.UNAUTHORIZED, "")
        if self.beta and request.headers.get("OpenAI-Beta") != "realtime=v1":
            return connection.respond(HTTPStatus.BAD_REQUEST, "")
        return None

    async def serve(self, connection: ServerConnection) -> None:
        number = 0

        async def tell(kind: str, **fields: Any) -> None:
            nonlocal number
            number += 1
            await connection.send(json.dumps({"event_id": f"event_{number}", "type": kind, **fields}))

        async def fail(code: str, message: str) -> None:
            error = {"type": "invalid_request_error", "code": code, "message": message, "param": None, "event_id": None}
            await tell("error", error=error)

        ears, item, said, buffered, vad = self.listen(rate=24_000, endpointing=False), 0, 0, 0, False

        async def complete(words: tuple[str, ...]) -> None:
            name = f"item_{item}"
            await tell("input_audio_buffer.committed", item_id=name, previous_item_id=None)
            usage = {"type": "duration", "seconds": 1}
            await tell(PREFIX + "completed", item_id=name, content_index=0, transcript=" ".join(words), usage=usage)

        created = "transcription_session.created" if self.beta else "session.created"
        await tell(created, session={"id": "s", "type": "transcription"})
        async for raw in self.messages(connection):
            message = json.loads(raw)
            kind = message["type"]
            if kind in ("session.update", "transcription_session.update"):
                if error := self._check(message):
                    await fail("invalid_value", error)
                    continue
                ears.endpointing = vad = self._vad(message) is not None
                updated = "transcription_session.updated" if self.beta else "session.updated"
                await tell(updated, session=message["session"])
            elif kind == "input_audio_buffer.append":
                audio = base64.b64decode(message["audio"])
                buffered += len(audio)
                for sound in ears.feed(audio):
                    if sound.kind == "start" and vad:
                        await tell(
                            "input_audio_buffer.speech_started", item_id=f"item_{item}", audio_start_ms=sound.at_ms
                        )
                    elif sound.kind == "end":
                        await tell(
                            "input_audio_buffer.speech_stopped", item_id=f"item_{item}", audio_end_ms=sound.at_ms
                        )
                        await complete(sound.words)
                        item, said, buffered = item + 1, 0, 0
                    elif sound.kind == "words":
                        fresh = " ".join(sound.words[said:])
                        delta = fresh if said == 0 else " " + fresh
                        said = len(sound.words)
                        await tell(PREFIX + "delta", item_id=f"item_{item}", content_index=0, delta=delta)
            elif kind == "input_audio_buffer.commit":
                if buffered < 100 * 48:
                    await fail("input_audio_buffer_commit_empty", "buffer too small")
                    continue
                sounds = ears.end()
                if vad and sounds:
                    await tell(
                        "input_audio_buffer.speech_stopped", item_id=f"item_{item}", audio_end_ms=sounds[0].at_ms
                    )
                await complete(sounds[0].words if sounds else ())
                item, said, buffered = item + 1, 0, 0
            else:
                await fail("unknown_event", kind)

    def _check(self, message: dict[str, Any]) -> str:
        """What is wrong with a session's settings."""
        session = message["session"]
        if self.beta:
            if message["type"] != "transcription_session.update" or session.get("input_audio_format") != "pcm16":
                return "the beta form is spoken here"
            return "" if session["input_audio_transcription"]["model"] else "model"
        if message["type"] != "session.update" or session.get("type") != "transcription":
            return "the GA form is spoken here"
        given = session["audio"]["input"]
        if given["format"] != {"type": "audio/pcm", "rate": 24000}:
            return "24 kHz"
        model, vad = given["transcription"]["model"], given["turn_detection"]
        if vad is not None and (model == "gpt-live-transcribe" or vad["type"] != "server_vad"):
            return "this model takes no turn detection"
        return "" if model else "model"

    def _vad(self, message: dict[str, Any]) -> Any:
        session = message["session"]
        return session["turn_detection"] if self.beta else session["audio"]["input"]["turn_detection"]


class FakeTranscriptions:
    """`streaming`: answers with server-sent events, else with JSON. `status`: refuses with it.

    `failures`: so many posts to come are answered with 503.
    """

    def __init__(self, key: str) -> None:
        self.key = key
        self.url = ""
        self.streaming = True
        self.status = 200
        self.failures = 0
        self.posts: list[int] = []  # milliseconds of audio in each

    @classmethod
    @asynccontextmanager
    async def run(cls, key: str) -> AsyncGenerator[Self]:
        server = cls(key)
        app = web.Application(client_max_size=8 << 20)
        app.router.add_post("/v1/audio/transcriptions", server._transcribe)
        runner = web.AppRunner(app, shutdown_timeout=0.2)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        try:
            yield server
        finally:
            await runner.cleanup()

    async def _transcribe(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Bearer {self.key}":
            return web.json_response({"error": {"code": "invalid_api_key"}}, status=401)
        form = await request.post()
        if self.failures:
            self.failures -= 1
            return web.json_response({"error": {"message": "not now"}}, status=503)
        if self.status != 200:
            return web.json_response({"error": {"message": "no"}}, status=self.status)
        upload = form["file"]
        assert isinstance(upload, web.FileField)
        assert form["model"]
        with wave.open(io.BytesIO(upload.file.read())) as file:
            assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16_000, 1, 2)
            pcm = file.readframes(file.getnframes())
        self.posts.append(len(pcm) // 32)
        text = " ".join(word for word, _, _ in recognise(pcm))
        if not self.streaming or form.get("stream") != "true":
            return web.json_response({"text": text})
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        for word in text.split(" "):
            await answer.write(_event({"type": "transcript.text.delta", "delta": word if word == text else word + " "}))
        await answer.write(_event({"type": "transcript.text.done", "text": text}))
        return answer


def _event(data: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(data)}\n\n".encode()
