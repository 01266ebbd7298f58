"""The words of an answer are those that a reader sees."""

from __future__ import annotations

import pytest

from chat.markdown.plain import plain_with_note
from chat.markdown.rendering import render
from chat.markdown.words import LONGEST_HTML, shown_words


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("# Head\n\nSome **bo**ld and `co<de>`,\nline two", "Head Some bold and co<de>, line two"),
        ("[a link](https://example.org/x_y?a=1&b=2) & \\*no emphasis\\*", "a link & *no emphasis*"),
        ("- [x] done\n- one\n\n| a | b |\n|---|---|\n| 1 | 2 |", "☑ done one a b 1 2"),
        ("```python\nif a < b:\n    pass\n```", "if a < b: pass"),
        ("Sum $x^2$ and\n\n$$\n\\frac12\n$$", r"Sum x^2 and \frac12"),
        ("“**重点**内容” مرحبا *بك*", "“重点内容” مرحبا بك"),
        ("said[^1]\n\n[^1]: noted", "said1 noted"),
        ("a<br>b <script>alert(1)</script>", "a b <script>alert(1)</script>"),
    ],
)
def test_no_markup_is_left(source: str, words: str) -> None:
    assert shown_words(source, render(source)) == words


def test_what_people_write_is_shown_as_it_was_written() -> None:
    assert shown_words("**not** <b>bold</b>\n\n- here") == "**not** <b>bold</b> - here"


def test_the_note_of_plain_text_is_not_of_the_answer() -> None:
    assert shown_words("a\nb", plain_with_note("a\nb")) == "a b"


def test_a_long_answer_is_cut_between_words_and_not_within_a_tag() -> None:
    html = "<p>word</p>" + "<p>x</p>" * 40_000
    for longest in range(LONGEST_HTML - 8, LONGEST_HTML):
        assert "<" not in shown_words("", html[:3] + "y" * (LONGEST_HTML - longest) + html[3:])
