"""Counting by the estimate times a factor that is learnt from reported usage."""

from __future__ import annotations

import base64
import random
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.providers.base import ChatTurn, TokenUsage, ToolSpec
from workers.providers.counting import ESTIMATE, KEPT_RATIOS, Ratios, TokenCount, kind_of
from workers.providers.model_facts import Facts, ModelFacts
from workers.providers.token_estimate import (
    ANSWER_TOKENS,
    TURN_TOKENS,
    TokenCounter,
    estimate_tokens,
    larger_usage,
    least_tokens,
)

WORDS = {
    "english": ["the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog", "while", "nobody", "understands",
                "what", "happened", "yesterday"],
    "code": [
        "def f(x):\n    ",
        "return x[0] + ",
        "self._items.append(",
        "if not found:\n        ",
        "for i in range(10):\n",
    ],
    "chinese": ["今天天气", "我们一起", "去公园散步", "然后回家", "吃晚饭，"],
    "japanese": ["今日は", "とても", "いい天気", "なので", "公園まで", "歩いて", "いきました。"],
    "georgian": ["დღეს ", "კარგი ", "ამინდია ", "და ", "პარკში ", "მივდივართ "],
    "tamil": ["இன்று ", "நல்ல ", "வானிலை ", "பூங்காவிற்கு ", "செல்கிறோம் "],
    "bengali": ["আজ ", "আবহাওয়া ", "ভালো ", "আমরা ", "পার্কে ", "যাচ্ছি "],
}  # fmt: skip
KINDS = {
    "english": "ascii", "code": "ascii", "chinese": "cjk", "japanese": "kana", "georgian": "georgian", "tamil": "tamil",
    "bengali": "bengali", "base64": "data",
}  # fmt: skip
# The estimate divided by the real tokens of Llama 3, Qwen 3, Gemma 3 and o200k (the lowest and the highest of them).
MEASURED = {
    "english": (1.04, 1.22), "code": (1.1, 1.3), "chinese": (1.3, 1.5), "japanese": (1.5, 1.7), "base64": (0.5, 0.5),
    "georgian": (0.25, 0.46), "tamil": (0.25, 0.46), "bengali": (0.25, 0.46),
}  # fmt: skip


def make_text(language: str, seed: int, pieces: int = 120) -> str:
    chance = random.Random(seed)
    if language == "base64":
        return base64.b64encode(chance.randbytes(900)).decode()
    glue = " " if language == "english" else ""
    return glue.join(chance.choice(WORDS[language]) for _ in range(pieces))


@dataclass
class Tokenizer:
    """A model's tokenizer: so many tokens of the estimate are one of its own, a little more or less with each text."""

    ratio: float

    def count(self, text: str) -> int:
        wobble = random.Random(text).uniform(0.95, 1.05)
        return round(estimate_tokens(text) / self.ratio * wobble)

    def request(self, turns: list[ChatTurn]) -> int:
        return ANSWER_TOKENS + sum(TURN_TOKENS + self.count(turn.content) for turn in turns)


@pytest.mark.parametrize("language", MEASURED)
@pytest.mark.parametrize("end", [0, 1])
def test_within_a_tenth_after_ten_runs(language: str, end: int) -> None:
    tokenizer, facts = Tokenizer(MEASURED[language][end]), ModelFacts()
    turns: list[ChatTurn] = []
    for run in range(10):
        turns = [*turns, ChatTurn("user", make_text(language, run))]
        facts.note_usage("host", "m", turns, TokenUsage(tokenizer.request(turns), 5))
        turns.append(ChatTurn("assistant", make_text(language, 100 + run)))
    count = facts.count("host", "m")
    for seed in range(200, 210):
        text = make_text(language, seed)
        assert count.text(text) == pytest.approx(tokenizer.count(text), rel=0.1)
        counter = TokenCounter()
        counter.factor = count.factor(text)
        for word in text.split(" "):
            counter.add(word + " ")
        assert counter.tokens == pytest.approx(tokenizer.count(text), rel=0.12), "while it arrives"


def test_one_model_counts_every_language_by_itself() -> None:
    facts = ModelFacts()
    for run in range(10):
        for language, (low, _) in MEASURED.items():
            if language != "code":  # it shares the kind of English
                turns = [ChatTurn("user", make_text(language, run))]
                facts.note_usage("host", "m", turns, TokenUsage(Tokenizer(low).request(turns), 5))
    for language, (low, _) in MEASURED.items():
        text = make_text(language, 999)
        if language != "code":
            assert facts.count("host", "m").text(text) == pytest.approx(Tokenizer(low).count(text), rel=0.1), language


@pytest.mark.parametrize("language", KINDS)
def test_kinds(language: str) -> None:
    assert kind_of(make_text(language, 1)) == KINDS[language]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", "ascii"),
        ("\u3000\u3000", "ascii"),
        ("Grüße aus Köln, schöne Straßen", "ascii"),
        ("👋👋👋", "ascii"),
        ("Привет, мир", "cyrillic"),
    ],
)
def test_other_kinds(text: str, kind: str) -> None:
    assert kind_of(text) == kind


ENGLISH = [ChatTurn("user", make_text("english", 1))]
REAL = estimate_tokens(ENGLISH[0].content) + TURN_TOKENS + ANSWER_TOKENS


@pytest.mark.parametrize(
    "usage",
    [
        TokenUsage(REAL, 1, estimated=True),
        TokenUsage(REAL, 1, implausible=True),
        TokenUsage(0, 1),
        TokenUsage(10, 1),
        TokenUsage(7 * REAL, 1),
        TokenUsage(10**9, 1),
    ],
)
def test_a_report_that_cannot_be_right_teaches_nothing(usage: TokenUsage) -> None:
    ratios = Ratios()
    assert not ratios.note(ENGLISH, usage)
    assert ratios.factors() == {}


def test_short_and_mixed_requests_teach_nothing() -> None:
    ratios = Ratios()
    assert not ratios.note([ChatTurn("user", "Hi")], TokenUsage(40, 1))
    mixed = [ChatTurn("user", make_text("english", 1)), ChatTurn("user", make_text("chinese", 1, 40))]
    assert not ratios.note(mixed, TokenUsage(400, 1))


def test_a_few_wild_reports_change_nothing() -> None:
    ratios = Ratios()
    for number in range(KEPT_RATIOS):
        ratios.note(ENGLISH, TokenUsage(3 * REAL if number % 3 == 0 else REAL, 1))
    assert ratios.factors()["ascii"] == pytest.approx(1, rel=0.02)


def test_it_follows_a_model_that_was_replaced() -> None:
    ratios = Ratios()
    for _ in range(30):
        ratios.note(ENGLISH, TokenUsage(REAL, 1))
    changes = [ratios.note(ENGLISH, TokenUsage(2 * REAL, 1)) for _ in range(KEPT_RATIOS)]
    assert ratios.factors()["ascii"] == pytest.approx(2, rel=0.05)
    assert sum(changes) == 1, "it is stored when the factor moves, not with every answer"


@given(st.text(), st.dictionaries(st.sampled_from(["ascii", "cjk", "data"]), st.floats(0.2, 6)))
def test_a_count_is_never_negative_and_visible_text_is_never_free(text: str, factors: dict[str, float]) -> None:
    count = TokenCount(factors).text(text)
    assert count >= (1 if text.strip() else 0)


@pytest.mark.parametrize("stored", [None, [], {"ascii": 3}, {"ascii": ["x", None]}, {"ascii": [99, -1]}])
def test_odd_rows_are_read_as_nothing(stored: object) -> None:
    assert Ratios.read(stored).factors() == {}


class TestFacts:
    def test_what_others_stored_is_taken_over_but_not_over_news_of_ones_own(self) -> None:
        facts = ModelFacts()
        facts.note_window("host", "a", 4096)
        facts.load([Facts("host", "a", 1024), Facts("host", "b", 2048)])
        assert [(facts.of("host", name) or Facts("", "")).window for name in "ab"] == [4096, 2048]
        assert [one.model for one in facts.take_changed()] == ["a"]
        facts.load([Facts("host", "a", 1024)])
        found = facts.of("host", "a")
        assert found is not None
        assert found.window == 1024
        assert facts.take_changed() == []

    def test_what_could_not_be_stored_is_stored_later(self) -> None:
        facts = ModelFacts()
        facts.note_window("host", "a", 4096)
        facts.put_back(facts.take_changed())
        assert [one.model for one in facts.take_changed()] == ["a"]

    def test_a_longer_prompt_that_was_answered_refutes_the_window(self) -> None:
        facts = ModelFacts()
        facts.note_window("host", "a", 300)
        facts.note_usage("host", "a", [ChatTurn("user", "x")], TokenUsage(301, 1))
        found = facts.of("host", "a")
        assert found is not None
        assert found.window is None


@pytest.mark.parametrize(
    ("text", "least"),
    [
        ("The quick brown fox jumps over the lazy dog.", 9),
        ("Tôi không biết điều đó.", 5),
        ("| a | b |\n|---|---|\n" + "=" * 400, 2),
        ("    return {'a': [1, 2, 3]}", 5),
        ("天気がいいから散歩しましょう", 5),
        ("." * 200_000, 0),
        ("", 0),
    ],
)
def test_the_least_count_is_that_of_words(text: str, least: int) -> None:
    assert least_tokens(text) == least


def test_the_larger_of_reported_and_counted_is_billed() -> None:
    counted, least = TokenUsage(100, 1_000), TokenUsage(60, 600)
    assert larger_usage(TokenUsage(90, 700), counted, least) == TokenUsage(90, 700)
    assert larger_usage(TokenUsage(90, 500), counted, least) == TokenUsage(90, 600, estimated=True)
    assert larger_usage(TokenUsage(10, 300), counted, least) == TokenUsage(60, 1_000, estimated=True)
    assert larger_usage(TokenUsage(400, 4_000), counted, least) == TokenUsage(400, 4_000)


def test_a_stopped_answer_is_billed_by_the_factor() -> None:
    turns, text = [ChatTurn("user", "What do the words of a question cost?")], "As much as those of an answer. " * 50
    plain, learnt = ESTIMATE.bill(None, turns, text), TokenCount({"ascii": 2.0}).bill(None, turns, text)
    assert learnt.estimated
    assert learnt.output_tokens == pytest.approx(2 * plain.output_tokens, rel=0.01)
    assert learnt.input_tokens > plain.input_tokens


def test_tools_that_a_server_leaves_out_of_its_prompt_are_not_billed() -> None:
    turns = [ChatTurn("user", "Hello you")]
    tools = [ToolSpec(f"tool_{number}", "What it does, in many words. " * 20, {}) for number in range(8)]
    reported = TokenUsage(20, 3)
    assert ESTIMATE.bill(reported, turns, "Hello to you.", tools=tools) == reported
    assert ESTIMATE.bill(None, turns, "Hello to you.", tools=tools).input_tokens > 500
