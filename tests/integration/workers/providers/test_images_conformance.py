"""Images that people attach go to every kind of model server as its API wants them, and not where they are refused."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import pytest

from tests.fakes.dialects.endpoint import TURNS, Endpoint
from tests.fakes.dialects.script import QUESTION, Script
from tests.integration.workers.providers.tool_conformance import PNG, WIRES, asked
from workers.providers.base import ChatTurn, Options, SentOptions
from workers.providers.http.tool_turns import NOT_SHOWN

pytestmark = pytest.mark.parametrize("server", WIRES, ids=lambda wire: wire.kind, indirect=True)

DATA = base64.b64encode(PNG.content).decode()
SEEN = [*TURNS[:-1], replace(TURNS[-1], images=(PNG,))]
URL = f"data:image/png;base64,{DATA}"


def expected(kind: str) -> Any:
    match kind:
        case "anthropic":
            image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": DATA}}
            return {"role": "user", "content": [image, {"type": "text", "text": QUESTION}]}
        case "gemini":
            image = {"inlineData": {"mimeType": "image/png", "data": DATA}}
            return {"role": "user", "parts": [image, {"text": QUESTION}]}
        case "openai_responses":
            parts = [{"type": "input_image", "image_url": URL}, {"type": "input_text", "text": QUESTION}]
            return {"type": "message", "role": "user", "content": parts}
        case "ollama":
            return {"role": "user", "content": QUESTION, "images": [DATA]}
    shown: Any = {"type": "image_url", "image_url": {"url": URL}}
    parts = [shown, {"type": "text", "text": QUESTION}]
    return {"role": "user", "content": parts}


async def test_the_exact_request(endpoint: Endpoint) -> None:
    sent = SentOptions()
    heard = await endpoint.ask(Script(), turns=SEEN, options=Options(sent=sent))
    assert heard.text == Script().text
    assert asked(endpoint)[-1] == expected(endpoint.wire.kind)
    assert sent.images


async def test_several_turns_with_and_without_images(endpoint: Endpoint) -> None:
    turns = [
        *SEEN,
        ChatTurn("assistant", "A map."),
        ChatTurn("user", "And this?", images=(PNG, PNG)),
        ChatTurn("user", "Well?"),
    ]
    await endpoint.ask(Script(), turns=turns)
    written = str(asked(endpoint))
    assert written.count(DATA) == 3
    assert written.index("A map.") < written.rindex(DATA)
    assert "Well?" in written


async def test_a_refusal_is_learnt_once_and_the_model_is_told(endpoint: Endpoint) -> None:
    chat = endpoint.client()
    sent = SentOptions()
    endpoint.server.play(Script(refuse="no_images"))
    heard = await endpoint.ask(Script(), chat=chat, turns=SEEN, options=Options(sent=sent))
    assert (heard.text, heard.requests) == (Script().text, 2)
    assert DATA in str(asked(endpoint, -2))
    assert DATA not in str(asked(endpoint))
    assert NOT_SHOWN.format(1) in str(asked(endpoint))
    assert not sent.images
    again = await endpoint.ask(Script(), chat=chat, turns=SEEN)
    assert again.requests == 1
    assert DATA not in str(asked(endpoint))


async def test_what_is_wrong_with_one_image_is_not_remembered(endpoint: Endpoint) -> None:
    chat = endpoint.client()
    endpoint.server.play(Script(refuse="image_too_large"))
    heard = await endpoint.ask(Script(), chat=chat, turns=SEEN)
    assert heard.requests == 2
    assert (await endpoint.ask(Script(), chat=chat, turns=SEEN)).requests == 1
    assert DATA in str(asked(endpoint))
