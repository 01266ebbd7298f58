"""The backends that the conformance suite holds to the rules of `workers.asr.base`."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.fakes.asr_ears import SENTENCES
from workers.asr.base import AsrBackend
from workers.asr.sphinx import SphinxBackend

KEY: Final = "key-that-nobody-may-see"


@dataclass
class Case:
    """A backend, and a way to break the session that is open."""

    backend: AsrBackend
    cut: Callable[[], Awaitable[None]]


def grammar(folder: Path) -> str:
    """A JSGF grammar in which the test's sentences are all there is to hear."""
    file = folder / "sentences.gram"
    file.write_text(f"#JSGF V1.0;\ngrammar sentences;\npublic <sentence> = {' | '.join(SENTENCES)};\n")
    return str(file)


@contextlib.asynccontextmanager
async def pocketsphinx(folder: Path) -> AsyncGenerator[Case]:
    backend = SphinxBackend(grammar=grammar(folder))
    await backend.prepare()

    async def cut() -> None:
        for engine in backend.engines:
            os.kill(engine.pid, signal.SIGKILL)

    try:
        yield Case(backend, cut)
    finally:
        await backend.aclose()


CASES: dict[str, Callable[[Path], AbstractAsyncContextManager[Case]]] = {"pocketsphinx": pocketsphinx}
