"""The form of an answer, and its logprobs, at every kind of model server."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fakes.dialects.anthropic import AnthropicWire
from tests.fakes.dialects.endpoint import Endpoint
from tests.fakes.dialects.gemini import GeminiWire
from tests.fakes.dialects.openai import ChatWire
from tests.fakes.dialects.script import MODEL, Script
from workers.providers.base import Options
from workers.providers.form import AnswerForm
from workers.providers.http.answer_forms import ANY_JSON, FORM, LOGPROBS, SCHEMA_FIELD

pytestmark = [pytest.mark.integration, pytest.mark.asyncio]

SCHEMA: Any = {
    "type": "object", "properties": {"town": {"type": "string"}}, "required": ["town"], "additionalProperties": False,
}  # fmt: skip
TOWN = AnswerForm(SCHEMA, "town", "A town.", strict=True)
JSON = AnswerForm()
NAMED = {"name": "town", "description": "A town.", "schema": SCHEMA, "strict": True}
SENT: dict[str, Any] = {
    "openai_chat": {"response_format": {"type": "json_schema", "json_schema": NAMED}},
    "azure": {"response_format": {"type": "json_schema", "json_schema": NAMED}},
    "openai_responses": {"text": {"format": {"type": "json_schema", **NAMED}}},
    "anthropic": {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
    "gemini": {"responseMimeType": "application/json", "responseJsonSchema": SCHEMA},
    "ollama": {"format": SCHEMA},
}
ANY_SENT: dict[str, Any] = {
    "openai_chat": {"response_format": {"type": "json_object"}},
    "azure": {"response_format": {"type": "json_object"}},
    "openai_responses": {"text": {"format": {"type": "json_object"}}},
    "gemini": {"responseMimeType": "application/json"},
    "ollama": {"format": "json"},
}


def fields_of(endpoint: Endpoint) -> dict[str, Any]:
    body = endpoint.server.chats[-1].body
    return dict(body.get("generationConfig", {}) if endpoint.wire.kind == "gemini" else body)


async def test_a_schema_is_sent_as_each_api_has_it(endpoint: Endpoint) -> None:
    await endpoint.ask(Script(), options=Options(form=TOWN))
    sent, wanted = fields_of(endpoint), SENT[endpoint.wire.kind]
    assert {name: sent.get(name) for name in wanted} == wanted


async def test_json_of_any_form(endpoint: Endpoint) -> None:
    """The Messages API has no such thing: the request is not sent."""
    if endpoint.wire.kind == "anthropic":
        refused = await endpoint.fail(Script(), options=Options(form=JSON))
        assert (refused.code, endpoint.server.chats) == ("upstream_no_format", [])
        return
    await endpoint.ask(Script(), options=Options(form=JSON))
    sent, wanted = fields_of(endpoint), ANY_SENT[endpoint.wire.kind]
    assert {name: sent.get(name) for name in wanted} == wanted


async def test_a_model_that_refuses_is_not_asked_without_the_form_nor_again(endpoint: Endpoint) -> None:
    chat = endpoint.client()
    for script in (Script(refuse="no_form"), Script()):
        refused = await endpoint.fail(script, chat=chat, options=Options(form=TOWN))
        assert (refused.code, refused.retryable) == ("upstream_no_format", False)
    assert len(endpoint.server.chats) == 1
    await endpoint.ask(chat=chat)
    assert not set(SENT[endpoint.wire.kind]) & set(fields_of(endpoint))


async def test_a_schema_that_is_refused_is_no_reason_to_refuse_others(endpoint: Endpoint) -> None:
    chat = endpoint.client()
    refused = await endpoint.fail(Script(refuse="bad_schema"), chat=chat, options=Options(form=TOWN))
    assert refused.code == "upstream_no_format"
    await endpoint.ask(Script(), chat=chat, options=Options(form=TOWN))
    assert len(endpoint.server.chats) == 2


@pytest.mark.parametrize("server", [GeminiWire()], indirect=True, ids=["Gemini"])
async def test_a_simpler_schema_for_servers_that_do_not_know_the_field(endpoint: Endpoint) -> None:
    chat = endpoint.client()
    for script in (Script(refuse="unknown_schema_field"), Script()):
        await endpoint.ask(script, chat=chat, options=Options(form=TOWN))
    first, *others = [one.body["generationConfig"] for one in endpoint.server.chats]
    assert "responseJsonSchema" in first
    plain = {name: value for name, value in SCHEMA.items() if name != "additionalProperties"}
    assert [one["responseSchema"] for one in others] == [plain, plain]
    assert all("responseJsonSchema" not in one for one in others)
    assert chat.learned.refuses(MODEL, SCHEMA_FIELD)
    assert not chat.learned.refuses(MODEL, FORM)


@pytest.mark.parametrize("server", [AnthropicWire()], indirect=True, ids=["Anthropic"])
async def test_a_form_goes_beside_an_effort(endpoint: Endpoint) -> None:
    await endpoint.ask(Script(), options=Options(form=TOWN, effort="low"))
    assert set(fields_of(endpoint)["output_config"]) == {"effort", "format"}


@pytest.mark.parametrize("server", [ChatWire()], indirect=True, ids=["Chat"])
class TestLogprobs:
    async def test_they_come_with_the_tokens(self, endpoint: Endpoint) -> None:
        script = Script(logprobs=True)
        heard = await endpoint.ask(script, options=Options(logprobs=1))
        sent = fields_of(endpoint)
        assert (sent["logprobs"], sent["top_logprobs"]) == (True, 1)
        found = [entry for chunk in heard.chunks for entry in chunk.logprobs]
        assert [one["token"] for one in found] == list(script.pieces)
        assert found[0]["top_logprobs"] == [{"token": "other", "logprob": -2.5, "bytes": None}]
        await endpoint.ask(Script(), options=Options(logprobs=0))
        assert "top_logprobs" not in fields_of(endpoint)

    async def test_a_model_that_has_none(self, endpoint: Endpoint) -> None:
        chat = endpoint.client()
        for _ in range(2):
            refused = await endpoint.fail(Script(refuse="no_logprobs"), chat=chat, options=Options(logprobs=0))
            assert refused.code == "upstream_no_logprobs"
        assert len(endpoint.server.chats) == 1
        assert chat.learned.refuses(MODEL, LOGPROBS)
        assert not chat.learned.refuses(MODEL, ANY_JSON)


@pytest.mark.parametrize("server", [AnthropicWire(), GeminiWire()], indirect=True, ids=["Anthropic", "Gemini"])
async def test_other_apis_give_no_logprobs(endpoint: Endpoint) -> None:
    refused = await endpoint.fail(Script(), options=Options(logprobs=0))
    assert (refused.code, endpoint.server.chats) == ("upstream_no_logprobs", [])
