"""Images that a model makes itself: read from each API that has them, bounded, and nothing else taken for one."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from tests import made_files as made
from workers.providers.base import Chunk, ProviderError, ToolImage
from workers.providers.gemini.reader import GeminiReader
from workers.providers.http import made_images
from workers.providers.http.reader import AnswerReader
from workers.providers.http.verdict import find_fault
from workers.providers.openai.completion import CompletionReader
from workers.providers.responses.reader import ResponseReader

PNG = made.image((40, 30))
JPEG = made.image((40, 30), "JPEG")


def coded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def address(content: bytes) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{coded(content)}"}}


def completion(*deltas: dict[str, Any]) -> list[dict[str, Any]]:
    events = [{"choices": [{"index": 0, "delta": one, "finish_reason": None}]} for one in deltas]
    return [*events, {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}]


def gemini(*parts: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"candidates": [{"content": {"parts": list(parts)}, "finishReason": "STOP"}]}]


def responses(*items: dict[str, Any]) -> list[dict[str, Any]]:
    done = [{"type": "response.output_item.done", "output_index": at, "item": one} for at, one in enumerate(items)]
    part = {"type": "response.image_generation_call.partial_image", "partial_image_b64": coded(JPEG)}
    return [part, *done, {"type": "response.completed", "response": {"status": "completed", "output": list(items)}}]


def read(reader: AnswerReader, events: list[dict[str, Any]]) -> list[Chunk]:
    chunks = [one for event in events for one in reader.feed(f"data: {json.dumps(event)}\n\n".encode())]
    chunks += reader.end()
    if (fault := reader.failure or reader.conclude(chunks) or find_fault(reader)) is not None:
        raise fault
    return chunks


def images(chunks: list[Chunk]) -> list[ToolImage]:
    return [image for chunk in chunks for image in chunk.images]


@pytest.mark.parametrize(
    ("reader", "events"),
    [
        (CompletionReader, completion({"content": "Here: "}, {"images": [address(PNG)]})),
        (CompletionReader, completion({"content": [{"type": "text", "text": "Here: "}, address(PNG)]})),
        (CompletionReader, completion({"content": "Here: ", "images": [address(PNG)]}, {"images": [address(PNG)]})),
        (GeminiReader, gemini({"text": "Here: "}, {"inlineData": {"mimeType": "image/png", "data": coded(PNG)}})),
        (GeminiReader, gemini({"text": "Here: "}, {"inline_data": {"mime_type": "image/png", "data": coded(PNG)}})),
        (
            ResponseReader,
            responses(
                {"type": "message", "content": [{"type": "output_text", "text": "Here: "}]},
                {"type": "image_generation_call", "status": "completed", "result": coded(PNG)},
            ),
        ),
    ],
)  # fmt: skip
def test_each_api(reader: type[AnswerReader], events: list[dict[str, Any]]) -> None:
    chunks = read(reader(), events)
    assert "".join(chunk.text for chunk in chunks) == "Here: "
    assert images(chunks) == [ToolImage("image/png", PNG)]


@pytest.mark.parametrize(
    ("reader", "events"),
    [
        (CompletionReader, completion({"images": [address(JPEG)]})),
        (GeminiReader, gemini({"inlineData": {"mimeType": "image/png", "data": coded(JPEG)}})),
        (ResponseReader, responses({"type": "image_generation_call", "result": coded(JPEG)})),
    ],
)
def test_an_image_alone_is_an_answer_and_its_type_is_that_of_its_bytes(
    reader: type[AnswerReader], events: list[dict[str, Any]]
) -> None:
    assert images(read(reader(), events)) == [ToolImage("image/jpeg", JPEG)]


@pytest.mark.parametrize(
    "data",
    [
        coded(b"<svg xmlns='http://www.w3.org/2000/svg'/>"), coded(b"<html>"), coded(b"RIFF....WAVE"), "no base64!", "",
        "data:image/png,plain", "https://example.org/a.png", 7, None, {}, [address(PNG)],
    ],
)  # fmt: skip
def test_what_is_no_image_is_left_out_and_no_answer(data: Any) -> None:
    with pytest.raises(ProviderError) as refused:
        read(CompletionReader(), completion({"images": [{"image_url": {"url": data}}]}))
    assert refused.value.code == "upstream_empty"


def test_a_large_one_comes_in_one_event() -> None:
    large = PNG + bytes(9 * 2**20)
    body = b"".join(f"data: {json.dumps(event)}\n\n".encode() for event in completion({"images": [address(large)]}))
    reader = CompletionReader()
    chunks = [chunk for at in range(0, len(body), 16_384) for chunk in reader.feed(body[at : at + 16_384])]
    assert reader.failure is None
    assert [len(image.content) for image in images(chunks)] == [len(large)]


def test_at_most_so_many_and_so_large(monkeypatch: pytest.MonkeyPatch) -> None:
    many = [address(made.image((10, 10 + at))) for at in range(made_images.MOST + 3)]
    assert len(images(read(CompletionReader(), completion({"images": many})))) == made_images.MOST
    monkeypatch.setattr(made_images, "MOST_BYTES", len(PNG) + 1)
    assert images(read(CompletionReader(), completion({"images": [address(PNG), address(JPEG)]}))) == [
        ToolImage("image/png", PNG)
    ]
