"""Every backend keeps the rules of `workers.tts.base`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from tests.fakes.speech_server import FakeSpeech, spoken
from workers.tts.backends.kokoro import KokoroBackend
from workers.tts.backends.openai_http import OpenAISpeechBackend
from workers.tts.base import SpeechConfig, TtsError

KEY = "sk-secret-of-the-tests"
TEXT = "This is one sentence."
CONFIG = SpeechConfig("nova")


@pytest.fixture
async def server() -> AsyncGenerator[FakeSpeech]:
    async with FakeSpeech.run(KEY) as running:
        yield running


@pytest.fixture
async def backend(server: FakeSpeech) -> AsyncGenerator[OpenAISpeechBackend]:
    made = OpenAISpeechBackend(KEY, url=server.url, model="tts-test")
    yield made
    await made.aclose()


async def speak(backend: OpenAISpeechBackend, config: SpeechConfig = CONFIG) -> bytes:
    async with aclosing(backend.speak(TEXT, config)) as pieces:
        return b"".join([piece async for piece in pieces])


async def test_a_sentence(backend: OpenAISpeechBackend, server: FakeSpeech) -> None:
    assert await speak(backend, SpeechConfig("nova", 1.25, "en")) == spoken(TEXT, 1.25)
    assert server.requests[0].body == {
        "model": "tts-test", "input": TEXT, "voice": "nova", "speed": 1.25, "response_format": "pcm",
    }  # fmt: skip


async def test_pieces_of_odd_sizes_and_wav_files(backend: OpenAISpeechBackend, server: FakeSpeech) -> None:
    server.odd = True
    assert await speak(backend) == spoken(TEXT)
    server.wav = True
    assert abs(len(await speak(backend)) - len(spoken(TEXT))) <= 96


async def test_the_first_piece_comes_before_the_last(backend: OpenAISpeechBackend, server: FakeSpeech) -> None:
    server.delay = 0.02
    async with aclosing(backend.speak(TEXT, CONFIG)) as pieces:
        assert await anext(pieces)
        assert server.requests[0].sent < len(spoken(TEXT))


async def test_who_stops_listening_ends_the_request(backend: OpenAISpeechBackend, server: FakeSpeech) -> None:
    server.delay = 0.02
    async with aclosing(backend.speak(TEXT * 20, CONFIG)) as pieces:
        await anext(pieces)
    async with asyncio.timeout(5):
        while not server.requests[0].broken_off:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("fault", ["status", "breaks", "talks", "key", "away"])
async def test_each_failure_is_an_error_without_the_key(server: FakeSpeech, fault: str) -> None:
    server.status = 429 if fault == "status" else 200
    server.breaks, server.talks = fault == "breaks", fault == "talks"
    url = "http://127.0.0.1:9/v1" if fault == "away" else server.url
    backend = OpenAISpeechBackend(KEY + ("-wrong" if fault == "key" else ""), url=url, model="tts-test")
    with pytest.raises(TtsError) as caught:
        await speak(backend)
    await backend.aclose()
    assert caught.value.code == "speech_unavailable"
    assert caught.value.detail
    assert KEY not in f"{caught.value!r} {caught.value} {caught.value.__cause__!r} {caught.value.message}"


async def test_addresses_that_serve_credentials_are_not_connected_to() -> None:
    backend = OpenAISpeechBackend(KEY, url="http://169.254.169.254/v1", model="tts-test")
    with pytest.raises(TtsError, match="ConnectError"):
        await speak(backend)
    await backend.aclose()


# --- Kokoro, with a stand-in for the model ----------------------------------------------------------------------------


class FakeKokoro:
    """`kokoro_onnx.Kokoro`, as far as it is used."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, float, str]] = []
        self.rate = 24_000

    def get_voices(self) -> list[str]:
        return ["af_heart", "bm_george", "jf_alpha"]

    def create(self, text: str, *, voice: str, speed: float, lang: str) -> tuple[list[float], int]:
        self.asked.append((text, voice, speed, lang))
        if text == "broken":
            raise RuntimeError("the graph failed")
        return [0.0, 0.5, -0.5, 1.5, -2.0], self.rate


async def test_kokoro_speaks_in_its_thread() -> None:
    model = FakeKokoro()
    backend = KokoroBackend(lambda: model)
    await backend.prepare()
    pieces = [piece async for piece in backend.speak("Hello.", SpeechConfig("bm_george", 1.5, "en"))]
    assert list(memoryview(b"".join(pieces)).cast("h")) == [0, 16_384, -16_384, 32_767, -32_767]
    for voice, language in (("af_heart", ""), ("jf_alpha", "en-US"), ("jf_alpha", "sv"), ("af_heart", "de")):
        assert [piece async for piece in backend.speak("Hello.", SpeechConfig(voice, language=language))]
    assert [one[3] for one in model.asked] == ["en-gb", "en-us", "en-us", "ja", "en-us"]
    for text, voice in (("Hello.", "unknown"), ("broken", "af_heart")):
        with pytest.raises(TtsError, match=r"voice|RuntimeError"):
            [piece async for piece in backend.speak(text, SpeechConfig(voice))]
    model.rate = 22_050
    with pytest.raises(TtsError, match="ValueError"):
        [piece async for piece in backend.speak("Hello.", SpeechConfig("af_heart"))]
    await backend.aclose()


async def test_a_model_that_cannot_be_loaded_is_an_error() -> None:
    def load() -> FakeKokoro:
        raise OSError("no such file")

    backend = KokoroBackend(load)
    with pytest.raises(TtsError, match="OSError"):
        await backend.prepare()
    with pytest.raises(TtsError, match="OSError"):
        [piece async for piece in backend.speak("Hello.", CONFIG)]
    await backend.aclose()
