"""Programs and models of other APIs: functions, signed thinking and the form of the answer, from end to end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.fakes.dialects.anthropic import AnthropicWire
from tests.fakes.dialects.gemini import GeminiWire
from tests.fakes.dialects.openai import ChatWire
from tests.fakes.dialects.openai_responses import ResponsesWire
from tests.fakes.dialects.script import KEY, MODEL, Call, Script
from tests.fakes.dialects.server import DialectServer
from tests.fakes.dialects.wire import Wire
from tests.fixtures.api_tokens import add_token
from tests.integration.chat.api.asking import eventually
from tests.stack import Stack

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

CREATE = """
from workers.models import Endpoint
row = Endpoint(name={name!r}, kind={kind!r}, base_url={url!r})
row.set_key({key!r})
row.save()
"""
DELETE = """
from workers.models import Endpoint
Endpoint.objects.all().delete()
"""
WIRES: tuple[Wire, ...] = (ResponsesWire(), AnthropicWire(), GeminiWire(), ChatWire())
ASKED: Any = [{"role": "user", "content": "What is the time in Berlin?"}]
PARAMETERS: Any = {"type": "object", "properties": {"zone": {"type": "string"}}, "required": ["zone"]}
TIME: Any = {"name": "current_time", "description": "Tells the time.", "parameters": PARAMETERS}
TOOLS: Any = [{"type": "function", "function": TIME}]
FLAT: Any = [{"type": "function", **TIME}]
CALLS = (Call(), Call(arguments='{"zone": "Asia/Tokyo"}', id="call_2"))
THOUGHT = Script(pieces=("I look.",), reasoning=("Which zone?",), calls=CALLS)
ANSWER = Script(pieces=("It is ", "noon."))
SCHEMA: Any = {
    "type": "object", "properties": {"town": {"type": "string"}}, "required": ["town"], "additionalProperties": False,
}  # fmt: skip
SIGNED = {"openai_responses": "gAAAAB", "anthropic": "EqQB", "gemini": "EjQL", "openai_chat": "Which zone?"}


@pytest.fixture(scope="module", params=WIRES, ids=lambda wire: wire.kind)
def server(request: pytest.FixtureRequest, stack: Stack) -> Iterator[DialectServer]:
    """A model server of the API, whose model the site offers while the tests of it run."""
    with DialectServer(request.param) as running:
        kind = running.wire.kind
        stack.manage("shell", "--no-imports", "-c", CREATE.format(name=kind, kind=kind, url=running.url, key=KEY))
        token = add_token(stack)
        with openai.OpenAI(base_url=f"{stack.webs[0].url}/v1", api_key=token, max_retries=0, timeout=30) as asking:
            eventually(lambda: MODEL in [one.id for one in asking.models.list()], 60)
            yield running
            stack.manage("shell", "--no-imports", "-c", DELETE)
            eventually(lambda: MODEL not in [one.id for one in asking.models.list()], 60)


@pytest.fixture(autouse=True)
def fresh(server: DialectServer) -> None:
    server.exchanges.clear()


def returned(message: Any) -> list[dict[str, str]]:
    times = {"Europe/Berlin": "12:00", "Asia/Tokyo": "20:00"}
    return [
        {"role": "tool", "tool_call_id": one.id, "content": times[json.loads(one.function.arguments)["zone"]]}
        for one in message.tool_calls
    ]


def check_second_request(server: DialectServer) -> None:
    """The second request has the calls, their results, and what was signed beside the first answer."""
    first, second = server.chats
    assert not server.problems
    said = json.dumps(second.body, ensure_ascii=False)
    assert SIGNED[server.wire.kind] in said
    assert SIGNED[server.wire.kind] not in json.dumps(first.body)
    assert all(word in said for word in ("12:00", "20:00", "Europe/Berlin", "Asia/Tokyo"))


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_functions_and_their_results(client: openai.OpenAI, server: DialectServer, *, streamed: bool) -> None:
    server.play(THOUGHT)
    server.play(ANSWER)
    asked: Any = {"model": MODEL, "tools": TOOLS, "reasoning_effort": "low"}

    def ask(messages: Any) -> Any:
        if not streamed:
            return client.chat.completions.create(messages=messages, **asked).choices[0]
        with client.chat.completions.stream(messages=messages, **asked) as stream:
            return stream.get_final_completion().choices[0]

    first = ask(ASKED)
    assert first.finish_reason == "tool_calls"
    assert [json.loads(one.function.arguments)["zone"] for one in first.message.tool_calls] == [
        "Europe/Berlin", "Asia/Tokyo",
    ]  # fmt: skip
    second = ask([*ASKED, first.message, *returned(first.message)])
    assert (second.finish_reason, second.message.content) == ("stop", "It is noon.")
    check_second_request(server)


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_functions_of_responses(client: openai.OpenAI, server: DialectServer, *, streamed: bool) -> None:
    server.play(THOUGHT)
    server.play(ANSWER)
    asked: Any = {"model": MODEL, "tools": FLAT, "reasoning": {"effort": "low"}}

    def ask(**fields: Any) -> Any:
        if not streamed:
            return client.responses.create(**asked, **fields)
        with client.responses.stream(**asked, **fields) as stream:
            return stream.get_final_response()

    first = ask(input=ASKED)
    calls = [one for one in first.output if one.type == "function_call"]
    times = {"Europe/Berlin": "12:00", "Asia/Tokyo": "20:00"}
    results: Any = [
        {"type": "function_call_output", "call_id": one.call_id, "output": times[json.loads(one.arguments)["zone"]]}
        for one in calls
    ]
    second = ask(input=results, previous_response_id=first.id)
    assert second.output_text == "It is noon."
    check_second_request(server)


def test_what_was_signed_stays_with_its_user(client: openai.OpenAI, server: DialectServer, stack: Stack) -> None:
    """Another user's program that sends the same calls gets none of it, nor does a call with other arguments."""
    server.play(THOUGHT)
    server.play(ANSWER, times=2)
    first: Any = client.chat.completions.create(
        model=MODEL, messages=ASKED, tools=TOOLS, reasoning_effort="low"
    ).choices[0]  # fmt: skip
    sent: Any = [*ASKED, first.message, *returned(first.message)]
    with openai.OpenAI(
        base_url=f"{stack.webs[0].url}/v1", api_key=add_token(stack, "bob@example.org"), max_retries=0, timeout=30
    ) as other:
        other.chat.completions.create(model=MODEL, messages=sent, tools=TOOLS)
    changed = json.loads(first.message.model_dump_json(exclude_none=True))
    for call in changed["tool_calls"]:
        call["function"]["arguments"] = '{"zone": "Asia/Tokyo", "when": "now"}'
    sent = [*ASKED, changed, *returned(first.message)]
    client.chat.completions.create(model=MODEL, messages=sent, tools=TOOLS)
    assert not server.problems
    assert len(server.chats) == 3
    assert all(SIGNED[server.wire.kind] not in json.dumps(one.body, ensure_ascii=False) for one in server.chats)


def test_the_form_of_the_answer(client: openai.OpenAI, server: DialectServer) -> None:
    server.play(Script(pieces=('{"town": ', '"Ulm"}')), times=2)
    form: Any = {"type": "json_schema", "json_schema": {"name": "town", "schema": SCHEMA, "strict": True}}
    made = client.chat.completions.create(model=MODEL, messages=ASKED, response_format=form)
    assert json.loads(made.choices[0].message.content or "") == {"town": "Ulm"}
    flat: Any = {"format": {"type": "json_schema", "name": "town", "schema": SCHEMA, "strict": True}}
    with client.responses.stream(model=MODEL, input=ASKED, text=flat) as stream:
        linked: Any = stream.get_final_response()
    assert (linked.output_text, linked.text.format.name, linked.text.format.type) == (
        '{"town": "Ulm"}', "town", "json_schema",
    )  # fmt: skip
    assert not server.problems
    assert [json.dumps(SCHEMA) in json.dumps(one.body) for one in server.chats] == [True, True]


def test_forms_and_logprobs_that_the_model_s_api_does_not_have(client: openai.OpenAI, server: DialectServer) -> None:
    if server.wire.kind == "anthropic":
        with pytest.raises(openai.BadRequestError) as refused:
            client.chat.completions.create(model=MODEL, messages=ASKED, response_format={"type": "json_object"})
        assert (refused.value.code, refused.value.param) == ("unsupported_parameter", "response_format")
        with pytest.raises(openai.BadRequestError) as refused:
            client.responses.create(model=MODEL, input=ASKED, text={"format": {"type": "json_object"}})
        assert (refused.value.code, refused.value.param) == ("unsupported_parameter", "text.format")
    if server.wire.kind != "openai_chat":
        for streams in (False, True):
            with pytest.raises(openai.BadRequestError) as refused:
                client.chat.completions.create(model=MODEL, messages=ASKED, logprobs=True, stream=streams)
            assert (refused.value.code, refused.value.param) == ("unsupported_parameter", "logprobs")
        assert not server.chats
        return
    server.play(Script(logprobs=True), times=2)
    made = client.chat.completions.create(model=MODEL, messages=ASKED, logprobs=True, top_logprobs=1)
    found: Any = made.choices[0].logprobs
    assert "".join(one.token for one in found.content) == made.choices[0].message.content == Script().text
    assert [one.token for one in found.content[0].top_logprobs] == ["other"]
    with client.chat.completions.stream(model=MODEL, messages=ASKED, logprobs=True) as stream:
        last: Any = stream.get_final_completion().choices[0]
    assert "".join(one.token for one in last.logprobs.content) == last.message.content == Script().text
