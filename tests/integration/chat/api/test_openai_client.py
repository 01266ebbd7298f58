"""The official client of OpenAI, unchanged, against a running stack: both endpoints, whole and streamed."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from tests.fakes.openai_server import FakeOpenAI
from tests.stack import Stack

pytestmark = pytest.mark.integration

HELLO: Any = [{"role": "user", "content": "hello"}]
ANSWER = "Hello from the other side."


@pytest.fixture(autouse=True)
def fresh(upstream: FakeOpenAI) -> None:
    upstream.reset()


def said(upstream: FakeOpenAI) -> Any:
    """The messages of the last request to the model."""
    return upstream.wait_chats(1)[-1].body["messages"]


def test_models(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["small", "large"]
    assert client.models.retrieve("large").object == "model"
    with pytest.raises(openai.NotFoundError) as refused:
        client.models.retrieve("none/such")
    assert refused.value.code == "model_not_found"


class TestCompletions:
    def test_whole(self, client: openai.OpenAI, upstream: FakeOpenAI, stack: Stack) -> None:
        upstream.play(f'text="{ANSWER}"')
        made = client.chat.completions.create(model="small", messages=HELLO)
        assert (made.choices[0].message.content, made.choices[0].finish_reason) == (ANSWER, "stop")
        assert made.model == "small"
        assert made.usage is not None
        (billed,) = stack.sql("SELECT input_tokens, output_tokens, model FROM accounts_usageentry")
        assert (made.usage.prompt_tokens, made.usage.completion_tokens) == (
            billed["input_tokens"],
            billed["output_tokens"],
        )
        assert made.usage.total_tokens == billed["input_tokens"] + billed["output_tokens"] > 0

    def test_top_p_is_passed_on(self, client: openai.OpenAI, upstream: FakeOpenAI) -> None:
        client.chat.completions.create(model="small", messages=HELLO, top_p=0.5)
        assert upstream.wait_chats(1)[-1].body["top_p"] == 0.5
        made = client.responses.create(model="small", input="hello", top_p=0.25)
        assert (upstream.wait_chats(2)[-1].body["top_p"], made.top_p) == (0.25, 0.25)
        client.chat.completions.create(model="small", messages=HELLO)
        assert "top_p" not in upstream.wait_chats(3)[-1].body

    def test_streamed(self, client: openai.OpenAI, upstream: FakeOpenAI) -> None:
        upstream.play(f'text="{ANSWER}" rate=4')
        chunks = list(
            client.chat.completions.create(
                model="small", messages=HELLO, stream=True, stream_options={"include_usage": True}
            )
        )
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == ANSWER
        texts = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices]
        assert sum(bool(text) for text in texts) >= 2  # five words in more than a second
        assert chunks[0].choices[0].delta.role == "assistant"
        assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
        assert chunks[-1].usage is not None
        assert chunks[-1].usage.completion_tokens > 0
        assert len({chunk.id for chunk in chunks}) == 1

    def test_the_history_reaches_the_model_exactly(self, client: openai.OpenAI, upstream: FakeOpenAI) -> None:
        """Roles, order, blanks, messages of one role in a row, and nothing of the site's own."""
        messages: Any = [
            {"role": "system", "content": "Be brief.\n  Indented."},
            {"role": "user", "content": "one"},
            {"role": "user", "content": "two"},
            {"role": "assistant", "content": "three "},
            {"role": "developer", "content": "four"},
            {"role": "user", "content": [{"type": "text", "text": "five"}, {"type": "text", "text": "six"}]},
        ]
        client.chat.completions.create(
            model="small", messages=messages, temperature=0.5, max_completion_tokens=77, reasoning_effort="low"
        )
        assert said(upstream) == [
            {"role": "system", "content": "Be brief.\n  Indented."},
            {"role": "user", "content": "one"},
            {"role": "user", "content": "two"},
            {"role": "assistant", "content": "three "},
            {"role": "system", "content": "four"},
            {"role": "user", "content": "five\nsix"},
        ]
        body = upstream.chats[-1].body
        assert (body["model"], body["temperature"], body["max_tokens"], body["reasoning_effort"]) == (
            "small", 0.5, 77, "low",
        )  # fmt: skip
        assert "tools" not in body

    def test_a_text_longer_than_a_message_may_be(self, client: openai.OpenAI, upstream: FakeOpenAI) -> None:
        long = "word " * 30_000
        client.chat.completions.create(model="small", messages=[{"role": "user", "content": long}])
        assert said(upstream) == [{"role": "user", "content": long}]

    def test_stop(self, client: openai.OpenAI, upstream: FakeOpenAI) -> None:
        upstream.play('text="one two three four" rate=200', times=2)
        made = client.chat.completions.create(model="small", messages=HELLO, stop=["thr", "never"])
        assert made.choices[0].message.content == "one two "
        chunks = client.chat.completions.create(model="small", messages=HELLO, stop="thr", stream=True)
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "one two "

    def test_length(self, client: openai.OpenAI, upstream: FakeOpenAI) -> None:
        upstream.play('text="cut" finish=length')
        made = client.chat.completions.create(model="small", messages=HELLO, max_tokens=1)
        assert (made.choices[0].finish_reason, made.choices[0].message.content) == ("length", "cut")

    def test_a_failing_model(self, client: openai.OpenAI, upstream: FakeOpenAI) -> None:
        upstream.play("status=400")
        with pytest.raises(openai.APIStatusError) as failed:
            client.chat.completions.create(model="small", messages=HELLO, stream=True)
        assert failed.value.status_code in (400, 502)
        assert failed.value.response.headers["x-should-retry"] == "false"


class TestResponses:
    def test_whole(self, client: openai.OpenAI, upstream: FakeOpenAI) -> None:
        upstream.play(f'text="{ANSWER}"')
        made = client.responses.create(model="small", input="hello", instructions="Be brief.", metadata={"a": "b"})
        assert (made.output_text, made.status) == (ANSWER, "completed")
        assert made.usage is not None
        assert made.usage.output_tokens > 0
        assert said(upstream) == [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "hello"},
        ]

    def test_streamed(self, client: openai.OpenAI, upstream: FakeOpenAI) -> None:
        upstream.play(f'text="{ANSWER}" rate=100')
        events = list(client.responses.create(model="small", input=HELLO, stream=True))
        kinds = [event.type for event in events]
        deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
        assert "".join(deltas) == ANSWER
        assert [kind for kind in kinds if kind != "response.output_text.delta"] == [
            "response.created", "response.in_progress", "response.output_item.added", "response.content_part.added",
            "response.output_text.done", "response.content_part.done", "response.output_item.done",
            "response.completed",
        ]  # fmt: skip
        assert [event.sequence_number for event in events] == list(range(len(events)))
        last = events[-1]
        assert last.type == "response.completed"
        assert last.response.output_text == ANSWER

    def test_the_one_before(self, client: openai.OpenAI, upstream: FakeOpenAI) -> None:
        upstream.play('text="first answer"')
        first = client.responses.create(model="small", input="first", instructions="Only this once.")
        client.responses.create(model="small", input="second", previous_response_id=first.id)
        assert said(upstream) == [
            {"role": "user", "content": "first"},
            {"role": "assistant", "content": "first answer"},
            {"role": "user", "content": "second"},
        ]
        with pytest.raises(openai.BadRequestError) as refused:
            client.responses.create(model="small", input="x", previous_response_id="resp_nothing")
        assert refused.value.code == "previous_response_not_found"
