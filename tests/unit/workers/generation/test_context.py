"""What a model gets to read: the system prompt, the newest messages, and a start that moves seldom."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chat.runs.exact_request import ExactRequest
from workers.generation.context import build_turns, fit_exactly
from workers.generation.exact_turns import exact_turns
from workers.providers.base import ChatTurn, ToolImage
from workers.providers.token_estimate import estimate_tokens, estimate_turns, estimate_usage

SYSTEM = "Be brief."


def dialogue(exchanges: int, words: int = 20) -> list[tuple[str, str]]:
    """Questions and answers, the last question unanswered."""
    path = []
    for number in range(exchanges):
        path.append(("user", f"question {number} " + "word " * words))
        path.append(("assistant", f"answer {number} " + "word " * words))
    return path[:-1]


def test_all_of_a_short_conversation() -> None:
    path = [("user", "Hi"), ("assistant", "Hello"), ("user", "Why?")]
    assert build_turns(SYSTEM, path, budget_tokens=1000) == [
        ChatTurn("system", SYSTEM),
        ChatTurn("user", "Hi"),
        ChatTurn("assistant", "Hello"),
        ChatTurn("user", "Why?"),
    ]


def test_no_system_prompt() -> None:
    assert build_turns("", [("user", "Hi")], budget_tokens=1000) == [ChatTurn("user", "Hi")]


def test_empty_answers_are_left_out_and_questions_joined() -> None:
    path = [("user", "Hi"), ("assistant", ""), ("user", "Hello?"), ("assistant", " \n"), ("user", "Anyone?")]
    assert build_turns("", path, budget_tokens=1000) == [ChatTurn("user", "Hi\n\nHello?\n\nAnyone?")]


def test_trimming_keeps_the_system_prompt_and_the_newest_whole_exchanges() -> None:
    path = dialogue(50)
    turns = build_turns(SYSTEM, path, budget_tokens=500)
    assert turns[0] == ChatTurn("system", SYSTEM)
    assert turns[1].role == "user"
    assert [(turn.role, turn.content) for turn in turns[1:]] == path[-(len(turns) - 1) :]
    assert estimate_turns(turns) <= 500
    assert len(turns) > 5


def test_the_question_stays_even_when_it_alone_is_too_long() -> None:
    path = [*dialogue(3), ("assistant", "yes"), ("user", "word " * 5000)]
    assert build_turns(SYSTEM, path, budget_tokens=100) == [ChatTurn("system", SYSTEM), ChatTurn("user", path[-1][1])]


def test_an_answer_that_is_continued_keeps_its_question() -> None:
    path = [("user", "old"), ("assistant", "old answer"), ("user", "new"), ("assistant", "The quick")]
    turns = build_turns("", path, budget_tokens=1)
    assert [turn.content for turn in turns] == ["new", "The quick"]


def test_what_people_wrote_without_asking_is_trimmed_as_well() -> None:
    talk = [("user", f"Bob: remark {number} " + "word " * 20) for number in range(200)]
    turns = build_turns(SYSTEM, [*talk, ("user", "Ann: @model?")], budget_tokens=500)
    assert [turn.role for turn in turns] == ["system", "user"], "roles alternate"
    assert turns[1].content.endswith("\n\nAnn: @model?")
    assert "remark 199" in turns[1].content
    assert "remark 0 " not in turns[1].content
    assert estimate_turns(turns) <= 500


def test_no_budget_at_all() -> None:
    assert build_turns(SYSTEM, dialogue(5), budget_tokens=0)[1:] == [ChatTurn("user", dialogue(5)[-1][1])]


def test_the_start_moves_in_blocks() -> None:
    """Of 100 requests of a growing conversation, only a few begin with another message than the one before."""
    starts = [build_turns(SYSTEM, dialogue(count), budget_tokens=2000)[1].content for count in range(1, 101)]
    moves = sum(before != after for before, after in itertools.pairwise(starts))
    assert 0 < moves <= 25
    for before, after in itertools.pairwise(starts):
        assert int(before.split()[1]) <= int(after.split()[1])


texts = st.text(st.sampled_from("ab 1,.\n你好ü👋"), max_size=200)


@given(
    path=st.lists(st.tuples(st.sampled_from(["user", "assistant"]), texts), max_size=20),
    question=texts.filter(str.strip),
    budget=st.integers(0, 2000),
)
def test_always_a_valid_request(path: list[tuple[str, str]], question: str, budget: int) -> None:
    turns = build_turns(SYSTEM, [*path, ("user", question)], budget_tokens=budget)
    assert turns[0] == ChatTurn("system", SYSTEM)
    roles = [turn.role for turn in turns[1:]]
    assert roles[-1] == "user"
    assert turns[-1].content.endswith(question)
    assert all(role != following for role, following in itertools.pairwise(roles))
    assert estimate_turns(turns) <= budget or roles == ["user"] or len(turns) == 2


class TestTokens:
    @pytest.mark.parametrize(
        ("text", "low", "high"),
        [
            # Counts of OpenAI's cl100k and o200k encodings, as their tokenizer page shows them.
            ("", 0, 0),
            ("Hello, world!", 4, 4),
            ("The quick brown fox jumps over the lazy dog.", 9, 11),
            ("1234567890", 4, 4),
            ("def add(a, b):\n    return a + b\n", 10, 15),
            ("你好，世界", 3, 6),
            ("👋", 1, 3),
        ],
    )
    def test_near_what_tokenizers_say(self, text: str, low: int, high: int) -> None:
        assert low <= estimate_tokens(text) <= high

    @given(st.text())
    def test_never_more_than_the_bytes(self, text: str) -> None:
        assert estimate_tokens(text) <= len(text.encode())

    @given(st.text(min_size=1).filter(str.strip))
    @example("\x7f")
    def test_a_visible_text_is_never_free(self, text: str) -> None:
        assert estimate_tokens(text) >= 1

    def test_usage_of_an_answer_is_marked(self) -> None:
        usage = estimate_usage([ChatTurn("user", "Hello, world!")], "Hi there", "hm")
        assert usage.estimated
        assert usage.input_tokens == 3 + 4 + 4
        assert usage.output_tokens == 3
        assert usage.reasoning_tokens == 1


def test_images_of_an_exact_request_are_in_their_turns_and_counted() -> None:
    request = ExactRequest([("user", "What is it?"), ("assistant", "A square."), ("user", "And this?")])
    image = ToolImage("image/png", b"x", 512, 512)
    plain = fit_exactly(exact_turns(request), budget_tokens=1_000)
    found = fit_exactly(exact_turns(request, {2: [image]}), budget_tokens=1_000)
    assert [len(turn.images) for turn in found.turns] == [0, 0, 1]
    assert found.used > plain.used + 50
