"""Bytes of a chat completion to chunks: every way of writing and cutting them, and what is not an answer."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.providers.base import Chunk, ProviderError, TokenUsage
from workers.providers.http.sse import MAX_EVENT_BYTES, EventSplitter
from workers.providers.openai.completion import CompletionReader as AnswerReader


def event(delta: dict[str, Any] | None = None, *, finish: str | None = None, **more: Any) -> bytes:
    body: dict[str, Any] = {"id": "x", "choices": [{"index": 0, "delta": delta or {}, "finish_reason": finish}]}
    return b"data: " + json.dumps({**body, **more}, ensure_ascii=False).encode() + b"\n\n"


def read(*pieces: bytes) -> tuple[AnswerReader, list[Chunk]]:
    """Everything an answer of these reads gives."""
    reader = AnswerReader()
    chunks = [chunk for piece in pieces for chunk in reader.feed(piece)]
    if reader.failure is None:
        chunks += reader.end()
    if reader.failure is not None:
        raise reader.failure
    return reader, chunks


def text_of(chunks: list[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks)


def reasoning_of(chunks: list[Chunk]) -> str:
    return "".join(chunk.reasoning for chunk in chunks)


STOP = event(finish="stop")
DONE = b"data: [DONE]\n\n"


class TestEventSplitter:
    @pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
    def test_line_ends(self, end: bytes) -> None:
        splitter = EventSplitter()
        body = end.join(
            [b": hello", b"", b"event: message", b"id: 7", b"data: one", b"", b"data:two", b"data: 2", b"", b""]
        )
        assert splitter.feed(body) + splitter.end() == [b"one", b"two\n2"]

    @given(
        payloads=st.lists(st.text(st.characters(exclude_characters="\r\n", codec="utf-8"), min_size=1), max_size=6),
        end=st.sampled_from([b"\n", b"\r\n", b"\r"]),
        cuts=st.lists(st.integers(0, 400), max_size=12),
    )
    def test_cuts_change_nothing(self, payloads: list[str], end: bytes, cuts: list[int]) -> None:
        body = b"".join(b": ping" + end + b"data: " + payload.encode() + end + end for payload in payloads)
        places = sorted({0, len(body), *(cut for cut in cuts if cut < len(body))})
        splitter = EventSplitter()
        found = [data for start, stop in itertools.pairwise(places) for data in splitter.feed(body[start:stop])]
        assert found + splitter.end() == [payload.encode() for payload in payloads]

    def test_each_byte_alone(self) -> None:
        splitter = EventSplitter()
        body = "data: Grüße 👋\r\n\r\n: x\r\n\r\ndata: 你好\r\n\r\n".encode()
        found = [data for index in range(len(body)) for data in splitter.feed(body[index : index + 1])]
        assert [data.decode() for data in found + splitter.end()] == ["Grüße 👋", "你好"]

    def test_an_event_without_end_is_refused(self) -> None:
        self.assert_refused(b"data: " + b"x" * 100_000)

    def test_many_lines_without_end_are_refused(self) -> None:
        self.assert_refused(b"data: " + b"x" * 100_000 + b"\n")

    def assert_refused(self, endless: bytes) -> None:
        splitter = EventSplitter()
        for _ in range(MAX_EVENT_BYTES // len(endless)):
            assert splitter.feed(endless) == []
        with pytest.raises(ProviderError, match="upstream_garbage"):
            splitter.feed(endless)


class TestAnswer:
    def test_text_finish_usage(self) -> None:
        usage = {
            "prompt_tokens": 9,
            "completion_tokens": 4,
            "prompt_tokens_details": {"cached_tokens": 5},
            "completion_tokens_details": {"reasoning_tokens": 1},
        }
        last = b"data: " + json.dumps({"choices": [], "usage": usage}).encode() + b"\n\n"
        reader, chunks = read(event({"role": "assistant", "content": ""}), event({"content": "Hi"}), STOP, last, DONE)
        assert text_of(chunks) == "Hi"
        assert reader.finish_reason == "stop"
        assert reader.usage == TokenUsage(9, 4, 5, 1)
        assert reader.done

    def test_one_list_per_read(self) -> None:
        reader = AnswerReader()
        assert [chunk.text for chunk in reader.feed(event({"content": "a"}) + event({"content": "b"}))] == ["a", "b"]
        assert reader.feed(b": keep-alive\n\n") == []

    @pytest.mark.parametrize("field", ["reasoning_content", "reasoning", "thinking"])
    def test_reasoning(self, field: str) -> None:
        _, chunks = read(event({field: "hm "}), event({"content": "yes"}), STOP)
        assert reasoning_of(chunks) == "hm "
        assert text_of(chunks) == "yes"

    @pytest.mark.parametrize(
        "delta",
        [
            {
                "reasoning_details": [
                    {"type": "reasoning.text", "text": "hm "},
                    {"type": "reasoning.encrypted", "data": "x"},
                ]
            },
            {"reasoning_details": [{"type": "reasoning.summary", "summary": "hm "}]},
            {"reasoning": "hm ", "reasoning_details": [{"type": "reasoning.text", "text": "hm "}]},
            {"reasoning": "hm ", "reasoning_content": "hm "},
            {"thinking": {"content": "hm "}},
            {"reasoning": [{"text": "h"}, {"text": "m "}]},
        ],
    )
    def test_reasoning_in_details_is_read_once(self, delta: dict[str, Any]) -> None:
        _, chunks = read(event(delta), event({"content": "yes", "reasoning_details": None}), STOP)
        assert (reasoning_of(chunks), text_of(chunks)) == ("hm ", "yes")

    def test_tags_in_the_text(self) -> None:
        pieces = [event({"content": one}) for one in "<think>hm</think>\n\nyes <think>"]
        reader, chunks = read(*pieces, STOP)
        assert (reasoning_of(chunks), text_of(chunks)) == ("hm", "yes <think>")
        assert ("".join(reader.reasoning), "".join(reader.text)) == ("hm", "yes <think>")

    @pytest.mark.parametrize(
        ("finish", "text"), [("stop", "The answer is 42."), ("length", ""), ("content_filter", "The answer is 42.")]
    )
    def test_an_unclosed_tag_never_hides_the_whole_answer(self, finish: str, text: str) -> None:
        _, chunks = read(event({"content": "<think>The answer is 42."}), event(finish=finish))
        assert (reasoning_of(chunks), text_of(chunks)) == ("The answer is 42.", text)

    def test_an_unclosed_tag_after_an_answer_stays_thinking(self) -> None:
        _, chunks = read(event({"content": "yes\n<think>hm"}), STOP)
        assert (reasoning_of(chunks), text_of(chunks)) == ("hm", "yes\n")

    def test_a_cut_in_an_unclosed_tag_is_a_cut(self) -> None:
        reader = AnswerReader()
        chunks = reader.feed(event({"content": "<think>hm</th"})) + reader.end()
        assert (reasoning_of(chunks), text_of(chunks)) == ("hm</th", "")
        assert reader.failure is not None
        assert (reader.failure.code, reader.failure.retryable) == ("upstream_cut", False)

    def test_content_in_parts(self) -> None:
        parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "yes"}]
        _, chunks = read(event({"content": parts}), STOP)
        assert chunks[:2] == [Chunk(reasoning="hm"), Chunk("yes")]

    def test_a_refusal_is_text(self) -> None:
        assert text_of(read(event({"refusal": "I cannot."}), STOP)[1]) == "I cannot."

    def test_no_done_and_no_last_empty_line(self) -> None:
        reader, chunks = read(event({"content": "a"}), STOP.rstrip())
        assert text_of(chunks) == "a"
        assert not reader.done

    @pytest.mark.parametrize("tail", [b"", DONE, b"data: {", b'data: {"choices": []}\n\n'])
    def test_an_end_without_a_reason_is_a_cut(self, tail: bytes) -> None:
        with pytest.raises(ProviderError) as caught:
            read(event({"content": "a"}), tail)
        assert caught.value.code == "upstream_cut"
        assert not caught.value.retryable

    def test_a_cut_before_the_first_word_may_be_tried_again(self) -> None:
        with pytest.raises(ProviderError) as caught:
            read(event({"role": "assistant", "content": ""}))
        assert caught.value.code == "upstream_cut"
        assert caught.value.retryable

    def test_zeros_are_no_usage(self) -> None:
        reader, _ = read(event({"content": "a"}, usage={"prompt_tokens": 0, "completion_tokens": 0}), STOP)
        assert reader.usage is None

    def test_other_types_of_usage_details(self) -> None:
        usage = {
            "prompt_tokens": 3,
            "completion_tokens": 1,
            "prompt_tokens_details": None,
            "prompt_cache_hit_tokens": 2,
        }
        reader, _ = read(event({"content": "a"}, finish="stop", usage=usage))
        assert reader.usage == TokenUsage(3, 1, 2)

    def test_a_json_body(self) -> None:
        body = {
            "choices": [{"message": {"role": "assistant", "content": "whole"}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 2},
        }
        raw = b"\n " + json.dumps(body, indent=1).encode()
        reader, chunks = read(raw[:20], raw[20:])
        assert text_of(chunks) == "whole"
        assert reader.usage == TokenUsage(1, 2)

    def test_a_byte_order_mark(self) -> None:
        assert text_of(read(b"\xef\xbb\xbf" + event({"content": "a"}), STOP)[1]) == "a"


class TestOddText:
    def test_nul_is_replaced(self) -> None:
        _, chunks = read(b'data: {"choices":[{"delta":{"content":"a\\u0000b"}}]}\n\n', STOP)
        assert text_of(chunks) == "a\ufffdb"

    def test_half_a_character_waits_for_the_other(self) -> None:
        first = rb'data: {"choices":[{"delta":{"content":"a\ud83d"}}]}' + b"\n\n"
        second = rb'data: {"choices":[{"delta":{"content":"\udc4bb"}}]}' + b"\n\n"
        _, chunks = read(first, second, STOP)
        assert text_of(chunks) == "a👋b"

    def test_a_lone_half_is_replaced(self) -> None:
        _, chunks = read(rb'data: {"choices":[{"delta":{"content":"a\udc4bb"}}]}' + b"\n\n", STOP)
        assert text_of(chunks) == "a\ufffdb"

    def test_a_half_at_the_end_is_replaced(self) -> None:
        _, chunks = read(rb'data: {"choices":[{"delta":{"content":"a\ud83d"}}]}' + b"\n\n", STOP)
        assert text_of(chunks) == "a\ufffd"

    def test_bytes_that_are_not_utf8(self) -> None:
        _, chunks = read(b'data: {"choices":[{"delta":{"content":"a\xffb"}}]}\n\n', STOP)
        assert text_of(chunks) == "a\ufffdb"

    @given(st.lists(st.text(), min_size=1, max_size=5))
    def test_any_text_can_be_stored(self, tokens: list[str]) -> None:
        pieces = [
            b'data: {"choices":[{"delta":{"content":' + json.dumps(token).encode() + b"}}]}\n\n" for token in tokens
        ]
        text = text_of(read(*pieces, STOP)[1])
        assert text.encode().count(0) == 0
        assert text == "".join(tokens).replace("\0", "\ufffd")


class TestNotAnAnswer:
    @pytest.mark.parametrize(
        "data",
        [
            b'data: {"choices":[{"delta":{"con\n\n',
            b"data: hello\n\n",
            b'data: {"choices": 5}\n\n',
            b'data: {"choices":[{"delta":{"content":5}}]}\n\n',
            b"data: " + b"[" * 100_000 + b"\n\n",
            b"<!doctype html><p>Welcome",
            b'{"choices":[{"message":',
        ],
    )
    def test_garbage(self, data: bytes) -> None:
        with pytest.raises(ProviderError) as caught:
            read(data)
        assert caught.value.code == "upstream_garbage"
        assert not caught.value.retryable

    def test_what_came_before_garbage_is_kept(self) -> None:
        reader = AnswerReader()
        assert text_of(reader.feed(event({"content": "good"}) + b"data: {bad\n\n")) == "good"
        assert reader.failure is not None
        assert reader.failure.code == "upstream_garbage"

    @pytest.mark.parametrize(
        ("body", "code"),
        [
            ({"error": {"message": "boom", "type": "server_error"}}, "upstream_error"),
            ({"error": {"message": "slow down", "code": 429}}, "upstream_rate_limited"),
            ({"error": "something broke"}, "upstream_error"),
            ({"object": "error", "message": "maximum context length is 10", "code": 400}, "context_too_long"),
            ({"error": {"message": "no", "code": "insufficient_quota"}, "choices": []}, "upstream_quota"),
        ],
    )
    def test_an_error_object(self, body: dict[str, Any], code: str) -> None:
        with pytest.raises(ProviderError) as caught:
            read(b"data: " + json.dumps(body).encode() + b"\n\n")
        assert caught.value.code == code
