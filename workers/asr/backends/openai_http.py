"""`POST /v1/audio/transcriptions`, as OpenAI and every self-hosted Whisper server have it, one utterance at a time.

Partials: the utterance so far is posted again about every second, while the person speaks. The final is one more post
of all of it, read as server-sent events where the server streams.
"""

from __future__ import annotations

import asyncio
import io
import json
import wave
from collections.abc import Callable
from typing import Any, Final

import httpx2

from workers.asr.audio.gated_session import FinalTranscript, GatedSession
from workers.asr.base import BYTES_PER_MS, SAMPLE_RATE, AsrCaps, AsrConfig, AsrError, busy, unavailable

PARTIAL_MS: Final = 1_000  # of new audio between two posts
TIMEOUT: Final = httpx2.Timeout(20.0, connect=5.0)


class HttpBackend:
    """`url` ends in `/v1`; `key` is empty where the server needs none."""

    name = "openai_http"
    caps = AsrCaps(server_endpointing=False, remote=True)

    def __init__(
        self, key: str, *, url: str = "https://api.openai.com/v1", model: str = "gpt-transcribe", partials: bool = True
    ) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._client = httpx2.AsyncClient(base_url=url.rstrip("/"), headers=headers, timeout=TIMEOUT)
        self._keyed = bool(key)
        self.model = model
        self._partials = partials

    async def prepare(self) -> None:
        """Does nothing: there is no model to load."""

    async def open(self, config: AsrConfig) -> GatedSession:
        fields = {"model": self.model, "language": config.language.partition("-")[0], "response_format": "json"}
        if config.vocabulary:
            fields["prompt"] = ", ".join(config.vocabulary)
        return GatedSession(HttpEngine(self._client, fields, partials=self._partials), config)

    async def check(self) -> dict[str, Any]:
        return {"backend": self.name, "model": self.model, "key": self._keyed}

    async def aclose(self) -> None:
        await self._client.aclose()


class HttpEngine:
    def __init__(self, client: httpx2.AsyncClient, fields: dict[str, str], *, partials: bool) -> None:
        self._client = client
        self._fields = fields
        self._partials = partials
        self._audio = bytearray()
        self._posted = 0
        self._post: asyncio.Task[None] | None = None
        self._on_partial: Callable[[str], None] = lambda _: None

    async def begin(self, on_partial: Callable[[str], None]) -> None:
        self._on_partial = on_partial
        self._audio.clear()
        self._posted = 0

    async def feed(self, pcm: bytes) -> None:
        self._audio += pcm
        if self._post is not None and self._post.done():
            post, self._post = self._post, None
            post.result()
        due = len(self._audio) - self._posted >= PARTIAL_MS * BYTES_PER_MS
        if self._partials and due and self._post is None:
            self._posted = len(self._audio)
            self._post = asyncio.create_task(self._post_partial(bytes(self._audio)))

    async def _post_partial(self, audio: bytes) -> None:
        self._on_partial(await self._transcribe(audio, lambda _: None))

    async def pause(self, pcm: bytes) -> None:
        await self.feed(pcm)

    async def finish(self) -> FinalTranscript:
        await self._drop_post()
        return FinalTranscript(await self._transcribe(bytes(self._audio), self._on_partial))

    async def _drop_post(self) -> None:
        post, self._post = self._post, None
        if post is not None:
            post.cancel()
            await asyncio.gather(post, return_exceptions=True)

    async def aclose(self) -> None:
        await self._drop_post()

    async def _transcribe(self, audio: bytes, on_partial: Callable[[str], None]) -> str:
        """Returns the text of `audio`; a streaming server's text so far goes to `on_partial`."""
        try:
            async with self._client.stream(
                "POST",
                "/audio/transcriptions",
                data={**self._fields, "stream": "true"},
                files={"file": ("speech.wav", _as_wav(audio), "audio/wav")},
            ) as answer:
                if answer.status_code != 200:
                    raise _refused(answer.status_code)
                if answer.headers.get("content-type", "").startswith("text/event-stream"):
                    return await _read_events(answer, on_partial)
                return str(json.loads(await answer.aread())["text"])
        except httpx2.HTTPError as error:
            raise unavailable(f"the server did not answer ({type(error).__name__})") from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise unavailable(f"the server's answer is not a transcript ({type(error).__name__})") from None


async def _read_events(answer: httpx2.Response, on_partial: Callable[[str], None]) -> str:
    text = ""
    async for line in answer.aiter_lines():
        if not line.startswith("data:") or line[5:].strip() == "[DONE]":
            continue
        event = json.loads(line[5:])
        if event["type"] == "transcript.text.delta":
            text += event["delta"]
            on_partial(text)
        elif event["type"] == "transcript.text.done":
            return str(event["text"])
        elif event["type"] == "error":
            raise unavailable("the server reported an error")
    raise unavailable("the server's answer ended early")


def _refused(status: int) -> AsrError:
    if status == 429:
        return busy("the server answered 429")
    return unavailable(f"the server answered {status}", retryable=status >= 500)


def _as_wav(audio: bytes) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(audio)
    return out.getvalue()
