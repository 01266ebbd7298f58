"""`POST /v1/audio/speech`, as OpenAI and many self-hosted servers have it (Kokoro-FastAPI, speaches, LocalAI).

Asked for `pcm`, which is 24 kHz mono PCM16. Servers that send a WAV file all the same are understood, at any rate.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, Final

import httpx2

from workers.providers.address_policy import ENDPOINTS
from workers.providers.guarded import guard_client
from workers.providers.url_policy import endpoint_name
from workers.tts.base import SAMPLE_RATE, SpeechConfig, unavailable
from workers.tts.wav import WavReader

TIMEOUT: Final = httpx2.Timeout(15.0, connect=5.0)
TEXTS: Final = ("application/json", "text/")  # of an answer that is no audio


class OpenAISpeechBackend:
    """`url` ends in `/v1`; `key` is empty where the server needs none. Connections go to allowed addresses only."""

    name = "openai"

    def __init__(self, key: str, *, url: str, model: str) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        client = httpx2.AsyncClient(base_url=url.rstrip("/"), headers=headers, timeout=TIMEOUT)
        self._client = guard_client(client, ENDPOINTS)
        self._keyed = bool(key)
        self.model = model
        self.endpoint = endpoint_name(url)

    async def prepare(self) -> None:
        """Does nothing: there is no model to load."""

    async def speak(self, text: str, config: SpeechConfig) -> AsyncGenerator[bytes]:
        body = {
            "model": self.model,
            "input": text,
            "voice": config.voice,
            "speed": config.speed,
            "response_format": "pcm",
        }
        try:
            async with self._client.stream("POST", "/audio/speech", json=body) as answer:
                if answer.status_code != 200:
                    raise unavailable(f"the server answered {answer.status_code}")
                kind = answer.headers.get("content-type", "")
                if kind.startswith(TEXTS):
                    raise unavailable(f"the server's answer is no audio ({kind.partition(';')[0]})")
                reader = WavReader(SAMPLE_RATE)
                async for piece in answer.aiter_bytes():
                    if pcm := reader.feed(piece):
                        yield pcm
        except httpx2.HTTPError as error:
            raise unavailable(f"the server did not answer ({type(error).__name__})") from None
        except ValueError as error:
            raise unavailable(f"the server's audio cannot be read ({error})") from None

    async def check(self) -> dict[str, Any]:
        return {"backend": self.name, "model": self.model, "key": self._keyed}

    async def aclose(self) -> None:
        await self._client.aclose()
