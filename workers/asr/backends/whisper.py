"""Whisper in this process, through faster-whisper (optional: requirements/whisper.txt).

A pass over the buffer is made whenever a second of audio is new and the last pass is done (the first after half a
second); see `local_agreement`. The buffer is trimmed at the end of a committed word once it is longer than 15 s. A
silence begins a pass: if it ends the utterance, its text is the final transcript. Passes run on a thread of their own:
CTranslate2 releases the GIL.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, Protocol

from workers.asr.audio.gated_session import FinalTranscript, GatedSession
from workers.asr.backends.local_agreement import Agreement, Word
from workers.asr.base import BYTES_PER_MS, AsrCaps, AsrConfig, busy, unavailable

FIRST_PASS_MS: Final = 500
PASS_MS: Final = 1_000
TRIM_MS: Final = 15_000
PASS_SECONDS: Final = 30.0


class Model(Protocol):
    """Returns the words of PCM16 at 16 kHz, with times from its start. Blocks."""

    def words(self, pcm: bytes, *, language: str, prompt: str) -> list[Word]: ...


class FasterWhisper:
    """A CTranslate2 model from a folder; `device` and `compute_type` as faster-whisper takes them."""

    def __init__(self, folder: str, *, device: str = "auto", compute_type: str = "default") -> None:
        for needed in ("model.bin", "tokenizer.json"):  # without the second it would download one
            if not Path(folder, needed).is_file():
                raise unavailable(f"the model in WHISPER_MODEL_DIR ({folder}) lacks {needed}", retryable=False)
        try:
            import faster_whisper
            import numpy  # comes with faster-whisper
        except ImportError:
            raise unavailable("the package faster-whisper is not installed", retryable=False) from None
        self._numpy = numpy
        try:
            self._model = faster_whisper.WhisperModel(
                folder, device=device, compute_type=compute_type, local_files_only=True
            )
        except Exception as error:  # noqa: BLE001 -- CTranslate2 and the tokenizer raise many types
            detail = f"the model in WHISPER_MODEL_DIR cannot be loaded ({type(error).__name__}: {error})"
            raise unavailable(detail, retryable=False) from None

    def words(self, pcm: bytes, *, language: str, prompt: str) -> list[Word]:
        samples = self._numpy.frombuffer(pcm, dtype="<i2").astype("float32") / 32768
        segments, _ = self._model.transcribe(
            samples,
            language=language,
            initial_prompt=prompt or None,
            beam_size=1,
            word_timestamps=True,
            condition_on_previous_text=False,
            without_timestamps=False,
        )
        return [
            Word(word.word.strip(), round(word.start * 1000), round(word.end * 1000))
            for segment in segments
            for word in segment.words or []
            if word.word.strip()
        ]


class WhisperBackend:
    """`load` loads the model; it is called once, by `prepare` or the first session. `speakers` share it."""

    name = "whisper"
    caps = AsrCaps(server_endpointing=False)

    def __init__(self, load: Callable[[], Model], *, speakers: int = 2) -> None:
        self._load = load
        self._model: Model | None = None
        self._loading = asyncio.Lock()
        self._threads = ThreadPoolExecutor(max_workers=speakers, thread_name_prefix="whisper")
        self.speakers = speakers
        self.engines: set[WhisperEngine] = set()

    async def prepare(self) -> None:
        await self._get()

    async def _get(self) -> Model:
        async with self._loading:
            if self._model is None:
                self._model = await asyncio.get_running_loop().run_in_executor(self._threads, self._load)
            return self._model

    async def open(self, config: AsrConfig) -> GatedSession:
        model = await self._get()
        if len(self.engines) >= self.speakers:
            raise busy(f"{self.speakers} speakers at once")
        language = config.language.partition("-")[0].lower()
        engine = WhisperEngine(model, self._threads, language, ", ".join(config.vocabulary), self.engines.discard)
        self.engines.add(engine)
        return GatedSession(engine, config)

    async def check(self) -> dict[str, Any]:
        return {"backend": self.name, "loaded": self._model is not None, "speaking": len(self.engines)}

    async def aclose(self) -> None:
        for engine in list(self.engines):
            await engine.aclose()
        self._threads.shutdown(wait=False, cancel_futures=True)


class WhisperEngine:
    def __init__(
        self,
        model: Model,
        threads: ThreadPoolExecutor,
        language: str,
        vocabulary: str,
        on_close: Callable[[WhisperEngine], None],
    ) -> None:
        self._model = model
        self._threads = threads
        self._language = language
        self._vocabulary = vocabulary
        self._on_close = on_close
        self._on_partial: Callable[[str], None] = lambda _: None
        self._agreement = Agreement()
        self._buffer = bytearray()
        self._start_ms = 0  # of the buffer, in the utterance
        self._passed = 0  # bytes in the last pass
        self._pass: asyncio.Task[None] | None = None

    async def begin(self, on_partial: Callable[[str], None]) -> None:
        self._on_partial = on_partial
        self._agreement = Agreement()
        self._buffer.clear()
        self._start_ms = self._passed = 0

    async def feed(self, pcm: bytes) -> None:
        self._buffer += pcm
        if self._pass is not None and self._pass.done():
            done, self._pass = self._pass, None
            done.result()
        wanted = PASS_MS if self._passed else FIRST_PASS_MS
        if self._pass is None and len(self._buffer) - self._passed >= wanted * BYTES_PER_MS:
            self._trim()
            self._pass = asyncio.create_task(self._hear())

    def _trim(self) -> None:
        if len(self._buffer) > TRIM_MS * BYTES_PER_MS:
            cut = max(self._agreement.committed_ms - self._start_ms, 0)
            del self._buffer[: cut * BYTES_PER_MS]
            self._start_ms += cut
            self._passed = max(self._passed - cut * BYTES_PER_MS, 0)

    async def _hear(self) -> None:
        """One pass over the buffer."""
        audio, start = bytes(self._buffer), self._start_ms
        self._passed = len(audio)
        prompt = self._agreement.prompt if start else self._vocabulary
        try:
            async with asyncio.timeout(PASS_SECONDS):
                words = await asyncio.get_running_loop().run_in_executor(
                    self._threads, lambda: self._model.words(audio, language=self._language, prompt=prompt)
                )
        except TimeoutError:
            raise unavailable(f"a pass took more than {PASS_SECONDS:.0f} s") from None
        except Exception as error:  # noqa: BLE001 -- whatever the engine raises, it cannot continue
            raise unavailable(f"the model failed ({type(error).__name__})") from None
        self._agreement.offer([Word(word.text, word.start_ms + start, word.end_ms + start) for word in words])
        self._on_partial(self._agreement.text)

    async def pause(self, pcm: bytes) -> None:
        self._buffer += pcm
        if self._passed < len(self._buffer):
            self._pass = asyncio.create_task(self._hear_after(self._pass))

    async def _hear_after(self, running: asyncio.Task[None] | None) -> None:
        if running is not None:
            await running
        await self._hear()

    async def finish(self) -> FinalTranscript:
        running, self._pass = self._pass, None
        if running is not None:
            await running
        if self._passed < len(self._buffer):
            await self._hear()
        return FinalTranscript(self._agreement.finish())

    async def aclose(self) -> None:
        self._on_close(self)
        if self._pass is not None:
            self._pass.cancel()
            await asyncio.gather(self._pass, return_exceptions=True)
