"""The joint of a continued answer: no words twice, and no blank doubled or lost."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from workers.generation.joint import Joint, join

TEXTS = st.text(st.sampled_from("ab cdE.,\n…日本x`0"), max_size=40)
WORDS = st.lists(st.sampled_from(["alpha", "beta", "gamma,", "delta.", "Epsilon", "zeta"]), min_size=1, max_size=12)


@pytest.mark.parametrize(
    ("before", "continuation", "whole"),
    [
        ("The quick brown", " fox", "The quick brown fox"),
        ("The quick brown", "fox", "The quick brown fox"),
        ("The quick brown ", "fox", "The quick brown fox"),
        ("The quick brown ", " fox", "The quick brown fox"),
        ("The quick brown", ".", "The quick brown."),
        ("The quick brown", "brown fox", "The quick brown fox"),
        ("The quick bro", "brown fox", "The quick brown fox"),
        ("The quick bro", "quick brown fox", "The quick brown fox"),
        ("The quick bro", "The quick brown fox", "The quick brown fox"),
        ("and then the quick", "The quick fox", "and then the quick fox"),
        ("I went home. Then I bou", "Then I bought milk.", "I went home. Then I bought milk."),
        ("and so", "…and so on", "and so on"),
        ("and so", "... and so on", "and so on"),
        ("and so", "…on", "and so on"),
        ("One.", "Two.", "One. Two."),
        ("It is 3.", "14", "It is 3.14"),
        ("日本語の文章", "日本語の文章は長い", "日本語の文章は長い"),
        ("日本", "語", "日本語"),
        ("I like the ", "then", "I like the then"),
        ("the answer is a", "an apple", "the answer is a an apple"),
        ("```py\nfor x in", "```py\nfor x in y:", "```py\nfor x in y:"),
        ("```py\nfoo(", "bar)", "```py\nfoo(bar)"),
        ("```py\nif x:\n", "    y()", "```py\nif x:\n    y()"),
        ("```py\n    x\n    y", "    y\n    z", "```py\n    x\n    y\n    z"),
        ("- a\n", "- b", "- a\n- b"),
        ("A.\n\n", "\n\nB.", "A.\n\nB."),
        ("A.\n", "\n\nB.", "A.\n\nB."),
        ("| 0 | 0", "| 0 | 0 |", "| 0 | 0| 0 | 0 |"),
        ("complete", "complete", "complete"),
        ("complete", "", "complete"),
        ("complete", " \n", "complete"),
    ],
)
def test_a_model_that_was_asked_to_go_on(before: str, continuation: str, whole: str) -> None:
    assert join(before, continuation) == whole


@pytest.mark.parametrize(
    ("before", "continuation", "whole"),
    [
        ("Hello wor", "ld", "Hello world"),
        ("Hello", " world", "Hello world"),
        ("Hello ", " world", "Hello world"),  # the blank at the end was not sent
        ("Hello ", "world", "Hello world"),
        ("ha ha", " ha", "ha ha ha"),
        ("row row", "row", "row rowrow"),
        ("A.\n\n", "\n\nB.", "A.\n\nB."),
        ("A.\n", "\n\nB.", "A.\n\nB."),
        ("x:\n", "\n    y", "x:\n    y"),
        ("x", "…y", "x…y"),
        (  # a server that says that it writes on, and begins again
            "Once upon a time there was a king.",
            "Once upon a time there was a king. He died.",
            "Once upon a time there was a king. He died.",
        ),
    ],
)
def test_a_model_that_writes_on_in_its_own_turn(before: str, continuation: str, whole: str) -> None:
    assert join(before, continuation, exact=True) == whole


@given(before=TEXTS, continuation=TEXTS, cuts=st.lists(st.integers(0, 40)), exact=st.booleans())
@example(before="a b", continuation="a bc", cuts=[1, 2, 3], exact=False)
@settings(deadline=None)
def test_the_pieces_in_which_it_arrives_make_no_difference(
    before: str, continuation: str, cuts: list[int], exact: bool
) -> None:
    joint = Joint(before)
    edges = [0, *sorted(min(cut, len(continuation)) for cut in cuts), len(continuation)]
    pieces = [continuation[a:b] for a, b in itertools.pairwise(edges)]
    shown = "".join(joint.feed(piece, exact=exact) for piece in pieces) + joint.end()
    assert before + shown == join(before, continuation, exact=exact)


@given(before=TEXTS, continuation=TEXTS, exact=st.booleans())
@settings(deadline=None)
def test_the_answer_before_stays_and_nothing_is_invented(before: str, continuation: str, exact: bool) -> None:
    whole = join(before, continuation, exact=exact)
    assert whole.startswith(before)
    added = "".join(whole[len(before) :].split())
    assert "".join(continuation.split()).endswith(added)  # but for blanks, it is an end of what the model sent


@given(words=WORDS, cut=st.integers(1, 60), back=st.integers(0, 5))
@settings(deadline=None)
def test_however_many_words_the_model_repeats_the_answer_has_them_once(words: list[str], cut: int, back: int) -> None:
    words = [f"{word}{number}" if word.isalpha() else f"{number}{word}" for number, word in enumerate(words)]
    text = " ".join(words)
    cut = min(cut, len(text))
    before = text[:cut].rstrip()
    assume(before)
    begun = before.split()
    first = max(0, len(begun) - 1 - back)
    assume(first < len(begun) - 1 or sum(map(str.isalpha, begun[-1])) >= 3)
    assert join(before, " ".join(words[first:])) == text


@given(words=WORDS, cut=st.integers(0, 60))
@settings(deadline=None)
def test_prefill_puts_the_answer_together_wherever_it_was_cut(words: list[str], cut: int) -> None:
    text = " ".join(f"{word}{number}" for number, word in enumerate(words))
    before, rest = text[:cut], text[cut:]
    sent = before.rstrip()  # what the server gets
    assert join(before, text[len(sent) :], exact=True) == text
    assert join(before, rest, exact=True) == text
