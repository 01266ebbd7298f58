"""What is kept of an answer that was talked over."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.runs.barge_in import LONGEST_WORD, heard_part

TEXT = "The quick brown fox's den. Él comió."


@pytest.mark.parametrize(
    ("heard", "kept"),
    [
        (0, ""),
        (2, ""),  # in the first word
        (3, "The"),
        (4, "The"),
        (7, "The"),  # in "quick"
        (9, "The quick"),
        (20, "The quick brown"),  # between fox and 's
        (25, "The quick brown fox's den"),
        (26, "The quick brown fox's den."),
        (len(TEXT), TEXT),
        (9_999, TEXT),
    ],
)
def test_ends_after_the_last_whole_word(heard: int, kept: str) -> None:
    assert heard_part(TEXT, heard) == kept


def test_letters_keep_their_accents_and_scripts_without_spaces_their_words() -> None:
    assert heard_part("cafe\u0301 noir", 4) == ""
    assert heard_part("cafe\u0301 noir", 5) == "cafe\u0301"
    chinese = "人工智能正在改变世界" * 10
    assert heard_part(chinese, 60) == chinese[:60]
    assert heard_part("a" * 100, 70) == "a" * 70


@given(st.text(max_size=200), st.integers(0, 250))
def test_is_a_prefix_and_never_far_from_what_was_heard(text: str, heard: int) -> None:
    kept = heard_part(text, heard)
    assert text.startswith(kept)
    assert len(kept) <= heard or kept == text
    lost = text[len(kept) : heard]
    assert len(lost.strip()) <= LONGEST_WORD + 1
