"""Turns that OpenAI finds: told in the order they began, whatever order their transcripts come in."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from websockets.asyncio.client import ClientConnection

from workers.asr.backends.openai_turns import PREFIX, TurnsSession


class Silent:
    """A connection on which nothing comes."""

    def __aiter__(self) -> Silent:
        return self

    async def __anext__(self) -> str:
        await asyncio.Event().wait()
        raise StopAsyncIteration

    async def close(self) -> None:
        pass


def said(kind: str, item: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, "item_id": item, **fields}


async def test_completions_may_cross() -> None:
    session = TurnsSession(cast("ClientConnection", Silent()))
    for message in (
        said("input_audio_buffer.speech_started", "a", audio_start_ms=100),
        said(PREFIX + "delta", "a", delta="one"),
        said("input_audio_buffer.speech_stopped", "a", audio_end_ms=900),
        said("input_audio_buffer.committed", "a"),
        said("input_audio_buffer.speech_started", "b", audio_start_ms=1500),
        said(PREFIX + "delta", "b", delta="two"),
        said("input_audio_buffer.speech_stopped", "b", audio_end_ms=2000),
        said(PREFIX + "completed", "b", transcript="Two."),
        said("input_audio_buffer.speech_started", "c", audio_start_ms=2500),
        said(PREFIX + "completed", "a", transcript="One."),
        said(PREFIX + "completed", "a", transcript="One again."),
        said(PREFIX + "completed", "c", transcript=""),
        said("input_audio_buffer.committed", "d"),
        said(PREFIX + "completed", "d", transcript=""),  # silence that a flush committed
    ):
        session.on_message(message)
    await session.aclose(drain=False)
    told = [(event.kind, event.utterance, event.text, event.start_ms, event.end_ms) async for event in session]
    assert [one for one in told if one[0] == "final"] == [
        ("final", 1, "One.", 100, 900),
        ("final", 2, "Two.", 1500, 2000),
        ("final", 3, "", 2500, 2500),
    ]
    assert [(kind, number) for kind, number, *_ in told] == [
        ("speech_started", 1), ("partial", 1), ("speech_stopped", 1), ("final", 1),
        ("speech_started", 2), ("speech_stopped", 2), ("final", 2),
        ("speech_started", 3), ("speech_stopped", 3), ("final", 3),
    ]  # fmt: skip
