"""Calls of tools in streams as real servers send them, and what looks like one but is text."""

from __future__ import annotations

import json

import msgspec
import pytest

from tests.fakes import tool_oddities
from tests.fakes.openai_oddities import DONE, chunk
from tests.fakes.tool_oddities import CALL, END, TEXTS, ZONE, Stream, delta, piece
from workers.providers.base import Chunk, ProviderError, ToolSpec
from workers.providers.http import answer_calls, calls
from workers.providers.http.reader import AnswerReader
from workers.providers.http.text_calls import TextCalls
from workers.providers.http.verdict import find_fault
from workers.providers.openai.completion import CompletionReader

TOOLS = {
    "current_time": ToolSpec("current_time", "", {}),
    "search": ToolSpec("search", "", {"properties": {"q": {"type": "string"}, "n": {"type": "integer"}}}),
}


def open_reader(reported: list[str] | None = None) -> CompletionReader:
    reader = CompletionReader(report=lambda kind, _found: reported.append(kind) if reported is not None else None)
    reader.expect("openai_chat", "m", TOOLS, may_call=True)
    return reader


def finish(reader: AnswerReader, chunks: list[Chunk]) -> tuple[list[Chunk], ProviderError | None]:
    """What is left at the end of the bytes, as `request.py` reads it."""
    chunks = chunks + reader.end()
    if reader.failure is not None:
        return chunks, reader.failure
    return chunks, reader.conclude(chunks) or find_fault(reader)


def value_of(arguments: str) -> object:
    try:
        return json.loads(arguments)
    except ValueError:
        return arguments


def check(stream: Stream, chunks: list[Chunk], error: ProviderError | None) -> None:
    assert (error.code if error else "") == stream.code
    assert "".join(chunk.text for chunk in chunks) == stream.text
    found = [call for chunk in chunks for call in chunk.calls]
    assert [(call.name, value_of(call.arguments)) for call in found] == [
        (name, value_of(text)) for name, text in stream.calls
    ]
    assert len({call.id for call in found}) == len(found)
    assert all(call.id for call in found)
    if not stream.code:
        assert [chunk.finish_reason for chunk in chunks if chunk.finish_reason][-1] == stream.finish


@pytest.mark.parametrize("name", tool_oddities.STREAMS)
def test_what_servers_send(name: str) -> None:
    stream = tool_oddities.STREAMS[name]
    reader = open_reader()
    check(stream, *finish(reader, reader.feed(stream.body)))


@pytest.mark.parametrize("name", tool_oddities.STREAMS)
def test_split_at_every_byte(name: str) -> None:
    stream = tool_oddities.STREAMS[name]
    for place in range(1, len(stream.body)):
        reader = open_reader()
        check(stream, *finish(reader, reader.feed(stream.body[:place]) + reader.feed(stream.body[place:])))


@pytest.mark.parametrize("name", TEXTS)
def test_what_stays_text(name: str) -> None:
    text = TEXTS[name]
    for size in (1, 3, len(text)):
        reader = open_reader()
        pieces = [text[place : place + size] for place in range(0, len(text), size)]
        body = b"".join(map(chunk, pieces)) + chunk(finish="stop") + DONE
        chunks, error = finish(reader, reader.feed(body))
        assert error is None
        assert "".join(one.text for one in chunks) == text
        assert not any(one.calls for one in chunks)


def test_text_is_no_call_where_no_tool_was_offered() -> None:
    reader = CompletionReader()
    body = tool_oddities.STREAMS["Hermes and Qwen"].body
    chunks, error = finish(reader, reader.feed(body))
    assert error is None
    assert "<tool_call>" in "".join(one.text for one in chunks)


def test_calls_are_no_answer_where_no_tool_was_offered() -> None:
    reader = CompletionReader()
    _, error = finish(reader, reader.feed(tool_oddities.STREAMS["OpenAI"].body))
    assert error is not None
    assert error.code == "upstream_tool_call"


def test_too_many_calls() -> None:
    reported: list[str] = []
    reader = open_reader(reported)
    body = b"".join(piece(place, f"id{place}", "search", "{}") for place in range(200))
    chunks, error = finish(reader, reader.feed(body + END))
    assert error is None
    assert len(chunks[-1].calls) == calls.MAX_CALLS
    assert chunks[-1].calls[-1].id == "id127"
    assert "calls" in reported


def test_arguments_without_end() -> None:
    reader = open_reader()
    piece_of_many = piece(0, None, None, "x" * 10_000)
    reader.feed(piece(0, "a", "search", ""))
    for _ in range(calls.MAX_ARGUMENTS // 10_000 + 1):
        reader.feed(piece_of_many)
    assert reader.failure is not None
    assert reader.failure.code == "upstream_garbage"


def test_a_written_call_without_end_is_text() -> None:
    reader = TextCalls(TOOLS)
    text = "<tool_call>" + "x" * 300_000
    passed = "".join(reader.feed(text[place : place + 1000]) for place in range(0, len(text), 1000)) + reader.end()
    assert passed == text


def test_broken_letters_in_a_call() -> None:
    """Neither a database nor a socket takes a NUL or half a pair of surrogates."""
    reader = open_reader()
    body = piece(0, "a\x00", "search", '{"q": "\x00\ud83d"}') + END
    chunks, error = finish(reader, reader.feed(body))
    assert error is None
    [call] = chunks[-1].calls
    assert (call.id, call.arguments) == ("a\ufffd", '{"q": "\ufffd\ufffd"}')


def test_surrogates_in_two_pieces_are_one_letter() -> None:
    reader = open_reader()
    body = piece(0, "a", "search", '{"q": "\ud83d') + piece(0, None, None, '\udc4b"}') + END
    chunks, _ = finish(reader, reader.feed(body))
    assert chunks[-1].calls[0].arguments == '{"q": "👋"}'


class TestReplay:
    def test_reasoning_goes_back_under_its_name(self) -> None:
        for field in ("reasoning_content", "reasoning"):
            reader = open_reader()
            body = delta(**{field: "so "}) + delta(**{field: "on"}) + piece(0, "a", "search", "{}") + END
            chunks, _ = finish(reader, reader.feed(body))
            assert chunks[-1].replay is not None
            assert chunks[-1].replay.parts == [{field: "so on"}]

    def test_details_are_put_together(self) -> None:
        def detail(**more: object) -> bytes:
            return delta(reasoning_details=[{"type": "reasoning.text", "index": 0, "format": "x", **more}])

        reader = open_reader()
        secret = {"type": "reasoning.encrypted", "index": 1, "data": "abc", "id": "r1"}
        body = detail(text="so ") + detail(text="on") + detail(signature="s") + delta(reasoning_details=[secret])
        chunks, _ = finish(reader, reader.feed(body + piece(0, "a", "search", "{}") + END))
        assert chunks[-1].replay is not None
        first = {"type": "reasoning.text", "index": 0, "format": "x", "text": "so on", "signature": "s"}
        assert chunks[-1].replay.parts == [{"reasoning_details": [first, secret]}]

    def test_what_belongs_to_a_call(self) -> None:
        reader = open_reader()
        extra = {"google": {"thought_signature": "sig"}}
        chunks, _ = finish(reader, reader.feed(piece(0, "a", "search", "{}", extra_content=extra) + END))
        assert chunks[-1].replay is not None
        assert chunks[-1].replay.parts == [{"call": "a", "extra_content": extra}]

    @pytest.mark.parametrize("odd", ["\x00", "\ud83d", 1e999, {"\x00": ["\udc4b"]}])
    def test_what_no_database_takes_is_mended(self, odd: object) -> None:
        reader = open_reader()
        chunks, error = finish(reader, reader.feed(piece(0, "a", "search", "{}", extra_content={"odd": odd}) + END))
        assert error is None
        assert chunks[-1].replay is not None
        kept = msgspec.json.encode(chunks[-1].replay)
        assert b"\\u0000" not in kept

    def test_what_is_huge_is_left_out(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(answer_calls, "MAX_REPLAY", 100)
        reported: list[str] = []
        reader = open_reader(reported)
        body = delta(reasoning_content="x" * 200) + piece(0, CALL[0], CALL[0], ZONE) + END
        chunks, error = finish(reader, reader.feed(body))
        assert error is None
        assert chunks[-1].calls
        assert chunks[-1].replay is None
        assert reported == ["replay"]
