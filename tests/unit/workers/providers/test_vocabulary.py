"""Counting with a model's own vocabulary, within limits of time and size."""

from __future__ import annotations

import pytest
import structlog.testing
from hypothesis import given
from hypothesis import strategies as st

from workers.providers.base import ChatTurn, TokenUsage, ToolSpec
from workers.providers.counting import TokenCount
from workers.providers.model_facts import ModelFacts
from workers.providers.token_estimate import TURN_TOKENS, estimate_tokens
from workers.providers.vocabulary import (
    MOST_PIECES,
    PIECE_CHARS,
    PIECE_SECONDS,
    AnswerVocabulary,
    CountedVocabulary,
    Vocabularies,
    split_pieces,
)

TEXT = "Every third word of this sentence is counted by a vocabulary of whole words. " * 5


class Words:
    """A token for each word. Each call takes `seconds`."""

    name = "words"

    def __init__(self, seconds: float = 0.001) -> None:
        self.seconds = seconds
        self.now = 0.0
        self.asked: list[str] = []

    def count(self, text: str) -> int:
        self.asked.append(text)
        self.now += self.seconds
        return len(text.split())

    def clock(self) -> float:
        return self.now


class PanicException(BaseException):
    """What a panic in Rust becomes: no `Exception`."""


def counted(words: Words) -> CountedVocabulary:
    return CountedVocabulary(words, words.clock)


def count_with(vocabulary: CountedVocabulary, seconds: float = 1.0, **factors: float) -> TokenCount:
    return TokenCount(factors, AnswerVocabulary(vocabulary, seconds))


def test_the_vocabulary_counts_more_than_the_ratio() -> None:
    count = count_with(counted(Words()), ascii=3.0)
    assert count.text(TEXT) == len(TEXT.split())
    assert count.turn(ChatTurn("user", TEXT)) == TURN_TOKENS + len(TEXT.split())
    assert count.factor(TEXT) == pytest.approx(len(TEXT.split()) / estimate_tokens(TEXT))
    assert count.usage([], TEXT).output_tokens == len(TEXT.split())


def test_a_short_text_says_nothing_of_others() -> None:
    assert count_with(counted(Words()), ascii=3.0).factor("Hi there") == 3.0


def test_what_the_server_makes_of_tools_is_known_better_from_its_reports() -> None:
    tool = ToolSpec("clock", "Tells the time of day in one place or another.", {"type": "object"})
    exact, learnt = count_with(counted(Words())).tools([tool]), count_with(counted(Words()), tools=2.0).tools([tool])
    assert exact < TokenCount().tools([tool]) < learnt


def test_a_text_is_counted_once_for_all_answers() -> None:
    words = Words()
    vocabulary = counted(words)
    for _ in range(3):
        assert count_with(vocabulary).text(TEXT) == len(TEXT.split())
    assert len(words.asked) == 1


def test_of_a_long_text_a_sample_is_counted() -> None:
    words = Words()
    text = TEXT * 400
    assert count_with(counted(words)).text(text) == pytest.approx(len(text.split()), rel=0.02)
    assert len(words.asked) <= MOST_PIECES


def test_when_the_time_is_over_what_was_counted_measures_the_rest() -> None:
    words = Words(seconds=0.02)
    vocabulary = counted(words)
    count = count_with(vocabulary, seconds=0.03, ascii=5.0)
    others = [f"{number} {TEXT}" for number in range(5)]
    for text in others:
        assert count.text(text) == pytest.approx(len(text.split()), rel=0.02)
    assert len(words.asked) == 2
    assert count.text("Zeit " * 50 + "ist um, wie schön " * 10) > 0  # plain text, too
    assert count.text("今天天气很好我们去公园" * 10) == TokenCount().text("今天天气很好我们去公园" * 10), "another kind"
    assert count_with(vocabulary, seconds=0).text(others[0]) == len(others[0].split()), "it was counted before"


def test_without_any_time_the_ratio_counts() -> None:
    assert count_with(counted(Words()), seconds=0, ascii=3.0).text(TEXT) == TokenCount({"ascii": 3.0}).text(TEXT)


@pytest.mark.parametrize("error", [ValueError("cut"), PanicException("index out of bounds")])
def test_a_vocabulary_that_fails_is_not_used_again_and_is_logged_once(error: BaseException) -> None:
    class Broken(Words):
        def count(self, text: str) -> int:
            super().count(text)
            raise error

    words = Broken()
    vocabulary = counted(words)
    with structlog.testing.capture_logs() as logs:
        for number in range(3):
            text = f"{number} {TEXT}"
            assert count_with(vocabulary, ascii=3.0).text(text) == TokenCount({"ascii": 3.0}).text(text)
    assert [line["event"] for line in logs] == ["vocabulary_failed"]
    assert len(words.asked) == 1
    assert Vocabularies({"m": vocabulary}).of("m") is None


def test_stopping_the_process_is_no_failure() -> None:
    class Stopped(Words):
        def count(self, text: str) -> int:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        count_with(counted(Stopped())).text(TEXT)


def test_a_vocabulary_that_is_too_slow_is_not_used_again() -> None:
    words = Words(seconds=2 * PIECE_SECONDS)
    vocabulary = counted(words)
    with structlog.testing.capture_logs() as logs:
        for number in range(3):
            count_with(vocabulary).text(f"{number} {TEXT}")
    assert [line["event"] for line in logs] == ["vocabulary_too_slow"]
    assert len(words.asked) == 1


@pytest.mark.parametrize(
    ("model", "found"),
    [
        ("Qwen/Qwen3-8B", "qwen/qwen3-8b"),
        ("qwen/QWEN3-8b", "qwen/qwen3-8b"),
        ("other/qwen3", "qwen3"),
        ("qwen3:8b", "qwen3"),
        ("hf.co/other/qwen3:Q4", "qwen3"),
        ("mistral", "found otherwise"),
        ("../qwen3", "qwen3"),
        ("qwen", None),
        ("", None),
    ],
)
def test_names(model: str, found: str | None) -> None:
    def named(name: str) -> CountedVocabulary:
        words = Words()
        words.name = name
        return counted(words)

    by_name = {name: named(name.lower()) for name in ("Qwen/Qwen3-8B", "qwen3")}
    otherwise = named("found otherwise")
    of = Vocabularies(by_name, lambda name: otherwise if name == "mistral" else None).of(model)
    assert (of and of.name) == found


def test_an_answer_counts_with_the_vocabulary_of_its_model() -> None:
    facts = ModelFacts()
    facts.vocabularies = Vocabularies({"m": counted(Words())})
    assert facts.count("host", "m").text(TEXT) == len(TEXT.split())
    assert facts.count("host", "other").text(TEXT) == estimate_tokens(TEXT)
    # Reports teach the ratio all the same: it counts where the vocabulary does not.
    facts.note_usage("host", "m", [ChatTurn("user", TEXT)], TokenUsage(3 * estimate_tokens(TEXT), 1))
    assert facts.count("host", "m").factors["ascii"] == pytest.approx(2.9, abs=0.15)


@given(st.text(alphabet=st.sampled_from("ab \n今"), max_size=3 * PIECE_CHARS))
def test_pieces_are_the_text(text: str) -> None:
    pieces = list(split_pieces(text))
    assert "".join(pieces) == text
    assert all(0 < len(piece) <= PIECE_CHARS for piece in pieces)


def test_a_text_without_blanks_is_cut() -> None:
    assert [len(piece) for piece in split_pieces("a" * 5000)] == [2000, 2000, 1000]
