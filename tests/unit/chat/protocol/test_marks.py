"""Combining marks are bounded: a letter with thousands of them stops every reader's page."""

from __future__ import annotations

import itertools
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.protocol import marks
from chat.protocol.commands import clean_text
from chat.protocol.marks import MOST_MARKS, MarkBound, bound_marks
from workers.generation.tool_use.outputs import clean

ACUTE, HARAKA, ASTRAL = "\u0301", "\u064b", "\U0001e8d0"
LETTERS = ("a", " ", "é", "字", "😀", ACUTE, HARAKA, "\u20dd", ASTRAL, "\U000e0100")
PIECES = st.lists(st.text(alphabet=st.sampled_from(LETTERS), max_size=80), max_size=12)


@pytest.mark.parametrize("mark", [ACUTE, HARAKA, "\u0e34", "\u20dd", ASTRAL, "\U000e01ef"])
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


@given(PIECES)
def test_it_is_what_a_count_of_each_row_gives(pieces: list[str]) -> None:
    rows = itertools.groupby("".join(pieces), lambda one: unicodedata.category(one) in ("Mn", "Me"))
    kept = ("".join(itertools.islice(row, MOST_MARKS if is_marks else None)) for is_marks, row in rows)
    assert bound_marks("".join(pieces)) == "".join(kept)


@pytest.mark.parametrize("letter", ["字", "a" + ACUTE, "क" + "ि", "กิ่", "я", "a" + ASTRAL])
def test_the_exact_pattern_is_not_asked_about_what_people_write(letter: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes through hundreds of ranges for each character: 48,000 Chinese ones stopped a web process for 80 ms."""
    known = marks._patterns()
    monkeypatch.setattr(marks, "_patterns", lambda: known._replace(many=re.compile("")))
    assert bound_marks(letter * 16_000) == letter * 16_000
    assert MarkBound().admit(letter * 16_000) == letter * 16_000


def test_the_first_pattern_has_one_range_beyond_the_basic_plane() -> None:
    set_ = marks._patterns().suspect.pattern.partition("]")[0]
    assert sum(character > "\uffff" for character in set_) == 2
