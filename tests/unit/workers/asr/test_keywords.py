"""Words to expect, as OpenAI's realtime models take them."""

from __future__ import annotations

import pytest

from workers.asr.backends.openai_realtime import RealtimeBackend
from workers.asr.base import AsrConfig


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("gpt-live-transcribe", {"keywords": ["Spree", "Antiphon"]}),
        ("gpt-4o-transcribe", {"prompt": "Spree, Antiphon"}),
    ],
)
def test_words_to_expect(model: str, expected: dict[str, object]) -> None:
    update = RealtimeBackend("key", model=model)._update(AsrConfig("de-AT", vocabulary=("Spree", "Antiphon")))
    given = update["session"]["audio"]["input"]["transcription"]
    assert given == {"model": model, "language": "de", **expected}
