"""What a model says when it is asked for a title, and the title that is made of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.conversations.titles import MAX_WORDS, clean_title
from chat.models.conversations import TITLE_LENGTH


@pytest.mark.parametrize(
    ("said", "title"),
    [
        ("Planning a trip to Rome", "Planning a trip to Rome"),
        ('"Planning a trip to Rome."\n', "Planning a trip to Rome"),
        ("Title: **Planning a trip**", "Planning a trip"),
        ("**Title:** Planning a trip", "Planning a trip"),
        ("# Planning a trip\n\nThis title says what it is about.", "Planning a trip"),
        ("\n\n  \n„Eine Reise nach Rom“", "Eine Reise nach Rom"),
        ("「ローマへの旅行計画」", "ローマへの旅行計画"),
        ("one two three four five six seven eight", "one two three four five six"),
        ("```\nPlanning a trip\n```", "Planning a trip"),
        ("tab\there\x00 and\u2028there", "tab here and there"),
        ("C++ or Rust?", "C++ or Rust?"),
        ("", ""),
        ('  ""  \n---\n', ""),
    ],
)
def test_title(said: str, title: str) -> None:
    assert clean_title(said) == title


@given(st.text(max_size=300))
def test_any_text_gives_one_short_line(said: str) -> None:
    title = clean_title(said)
    assert len(title) <= TITLE_LENGTH
    assert len(title.split()) <= MAX_WORDS
    assert title == title.strip()
    assert title.isprintable() or not any(one in title for one in "\n\r\t\0")
