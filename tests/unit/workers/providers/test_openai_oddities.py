"""What real servers send: read as it is meant, however the bytes are split, and counted where it is odd."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pytest
import structlog

from chat.telemetry import metrics
from tests.fakes.openai_oddities import DONE, HELLO, STOP, STREAMS, WITHOUT_USAGE, WORLD, Stream, chunk
from workers.providers.base import Chunk
from workers.providers.http import oddities
from workers.providers.http.reader import MAX_TOKENS
from workers.providers.openai.completion import CompletionReader as AnswerReader


@dataclass(frozen=True)
class Read:
    """What a reader made of an answer."""

    text: str
    reasoning: str
    finish: str | None
    counts: tuple[int, int] | None
    code: str


def read(*pieces: bytes) -> tuple[Read, AnswerReader, list[Chunk]]:
    reader = AnswerReader()
    chunks: list[Chunk] = []
    for piece in pieces:
        if reader.failure is None and not reader.done:
            chunks += reader.feed(piece)
    if reader.failure is None:
        chunks += reader.end()
    usage = reader.usage if reader.usage is not None and not reader.usage.implausible else None
    found = Read(
        "".join(one.text for one in chunks),
        "".join(one.reasoning for one in chunks),
        reader.finish_reason,
        (usage.input_tokens, usage.output_tokens) if usage else None,
        reader.failure.code if reader.failure else "",
    )
    return found, reader, chunks


@pytest.mark.parametrize("name", STREAMS)
def test_it_is_read_as_it_is_meant(name: str) -> None:
    stream = STREAMS[name]
    assert read(stream.body)[0] == expected(stream)


@pytest.mark.parametrize("name", STREAMS)
def test_split_at_every_byte_it_reads_the_same(name: str) -> None:
    stream = STREAMS[name]
    body = stream.body
    whole = expected(stream)
    for place in range(1, len(body)):
        assert read(body[:place], body[place:])[0] == whole, (body[:place], body[place:])
    assert read(*(body[place : place + 1] for place in range(len(body))))[0] == whole


def expected(stream: Stream) -> Read:
    return Read(stream.text, "", stream.finish, stream.counts, stream.code)


@pytest.mark.parametrize("name", WITHOUT_USAGE)
def test_numbers_that_cannot_be_right_are_bounded_and_marked(name: str) -> None:
    _, reader, chunks = read(STREAMS[name].body)
    assert reader.usage is not None
    assert reader.usage.implausible
    assert 0 <= reader.usage.output_tokens <= MAX_TOKENS
    assert 0 <= reader.usage.input_tokens <= MAX_TOKENS
    assert not any(one.usage for one in chunks)


def test_parts_of_a_count_are_never_more_than_the_whole() -> None:
    details = {"prompt_tokens_details": {"cached_tokens": 90}, "completion_tokens_details": {"reasoning_tokens": 50}}
    _, reader, _ = read(chunk("a", usage={"prompt_tokens": 7, "completion_tokens": 2, **details}), STOP)
    assert reader.usage is not None
    assert (reader.usage.cached_tokens, reader.usage.reasoning_tokens) == (7, 2)


class TestTheEnd:
    def test_a_finish_reason_after_the_text_settles_it(self) -> None:
        reader = AnswerReader()
        reader.feed(HELLO + STOP)
        assert reader.settled
        assert reader.ended

    def test_a_finish_reason_with_text_does_not(self) -> None:
        reader = AnswerReader()
        reader.feed(chunk("Hello ", finish="stop"))
        assert not reader.settled
        assert reader.ended, "if the server goes now, it was the end"

    def test_one_before_the_text_never_does(self) -> None:
        reader = AnswerReader()
        reader.feed(chunk("", finish="stop") + chunk("a", finish="stop") + chunk("", finish="stop"))
        assert not reader.settled
        assert not reader.ended

    @pytest.mark.parametrize("body", [b"", b"\n\n", b"\xef\xbb\xbf", b"\xef\xbb"])
    def test_nothing_at_all_is_no_cut(self, body: bytes) -> None:
        found, reader, _ = read(body)
        assert found.code == ""
        assert not reader.began

    def test_only_unknown_events_are_no_answer(self) -> None:
        assert read(b"data: hello\n\n" + DONE)[0].code == "upstream_garbage"

    def test_tool_calls_are_noticed(self) -> None:
        call = {"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}
        body = chunk(choices=[{"delta": {"tool_calls": [call]}, "finish_reason": "tool_calls"}])
        assert read(body + DONE)[1].called_tools


class TestCounted:
    @pytest.fixture(autouse=True)
    def fresh(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(oddities, "_logged", set())
        monkeypatch.setattr(metrics, "oddities", Counter())

    def read(self, body: bytes) -> list[str]:
        kinds: list[str] = []

        def note(kind: str, found: object) -> None:
            kinds.append(kind)
            oddities.note_oddity("host", kind, found)

        reader = AnswerReader(report=note)
        reader.feed(body)
        reader.end()
        return kinds

    @pytest.mark.parametrize(
        ("event", "kind"),
        [
            (b'data: {"type": "ping"}\n\n', "event"),
            (b"data: hello there\n\n", "no_json"),
            (b"data: 7\n\n", "no_object"),
            (b'data: {"choices": [{"delta": []}]}\n\n', "field"),
            (b'data: {"choices": [], "usage": {"prompt_tokens": -1}}\n\n', "usage"),
        ],
    )
    def test_by_kind_and_logged_once(self, event: bytes, kind: str) -> None:
        with structlog.testing.capture_logs() as logs:
            assert self.read(HELLO + event + event + WORLD + STOP + DONE) == [kind, kind]
        assert metrics.oddities == {kind: 2}
        [line] = logs
        assert (line["event"], line["kind"], line["endpoint"]) == ("model_event_unexpected", kind, "host")
        assert line["sample"]

    @pytest.mark.parametrize("event", [b"data:\n\n", b"data: null\n\n", b": hi\n\n", b"retry: 1\n\n"])
    def test_a_keep_alive_is_not_odd(self, event: bytes) -> None:
        assert self.read(HELLO + event + WORLD + STOP + DONE) == []

    def test_a_sample_has_nobodys_words(self) -> None:
        sample = oddities.sample_of({"object": "chat.odd", "choices": [{"delta": {"content": "my secret words"}}]})
        assert "secret" not in sample
        assert "chat.odd" in sample
        assert "<15 characters>" in sample
        assert oddities.sample_of(b"my secret words") == "15 bytes that are not JSON"
