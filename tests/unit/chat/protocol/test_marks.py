"""Combining marks are bounded: a letter with thousands of them stops every reader's page."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.protocol.commands import clean_text
from chat.protocol.marks import MOST_MARKS, MarkBound, bound_marks
from workers.generation.tool_use.outputs import clean

ACUTE, HARAKA = "\u0301", "\u064b"
PIECES = st.lists(
    st.text(alphabet=st.sampled_from(["a", " ", "é", "字", ACUTE, HARAKA, "\u20dd"]), max_size=80), max_size=12
)


@pytest.mark.parametrize("mark", [ACUTE, HARAKA, "\u0e34", "\u20dd"])
def test_a_letter_keeps_thirty_marks(mark: str) -> None:
    assert bound_marks(f"a{mark * 60_000}b") == f"a{mark * MOST_MARKS}b"


@pytest.mark.parametrize("text", ["", "plain", "e\u0301 Zürich", "สวัสดีที่นี่", "שָׁלוֹם", "السَّلَامُ", "हिन्दी", "👨‍👩‍👧"])
def test_what_people_write_stays(text: str) -> None:
    assert bound_marks(text) == text


def test_messages_and_results_of_tools_are_bounded() -> None:
    bomb = "a" + ACUTE * 5_000
    assert clean_text(bomb) == clean(bomb) == "a" + ACUTE * MOST_MARKS


@given(PIECES)
def test_pieces_come_to_the_same_as_the_whole(pieces: list[str]) -> None:
    bound = MarkBound()
    assert "".join(map(bound.admit, pieces)) == bound_marks("".join(pieces))
