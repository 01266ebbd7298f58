"""Which direction blocks get. Browsers find it by the first letter, in a block of many parts in quadratic time."""

from __future__ import annotations

import time

import pytest

from chat.markdown.rendering import render

pytestmark = pytest.mark.unit

CODE = "`|` " * 120
MANY_PARTS = [
    f"{CODE}",
    f"{CODE}a",
    f"{CODE}مرحبا",
    f"مرحبا {CODE}",
    f"**1** [שלום](https://a.example) {CODE}",
    "1\n" * 120,
    "- `a`\n" * 60 + "- אב\n",
    "> - مرحبا\n" + "> - 1\n" * 60,
    "| 1 | 2 |\n|---|---|\n" + "| 1 | 2 |\n" * 30,
    "# " + "$x$ " * 120 + "عربي",
    "- - - 1\n" * 60 + "\nabc",
]


@pytest.mark.parametrize(
    ("text", "direction"),
    [
        ("a `b`", "auto"),
        ("`b`", "auto"),
        ("مرحبا", "auto"),
        (CODE, "ltr"),
        (f"{CODE}a", "ltr"),
        (f"{CODE}مرحبا", "rtl"),
        (f"**1** [שלום](https://a.example) {CODE}", "rtl"),
        (f"{CODE}\n\nمرحبا", "ltr"),
    ],
    ids=["short", "short, no letter", "short, Arabic", "no letter", "Latin", "Arabic", "Hebrew in a link", "outside"],
)
def test_of_a_paragraph(text: str, direction: str) -> None:
    assert render(text).startswith(f'<p dir="{direction}">')


def test_of_boxes() -> None:
    """Of the first letter in them, wherever it is, and not of one after them."""
    items = "- 1\n" * 60
    assert render(items).startswith('<ul dir="ltr">')
    assert render(f"{items}- اب").startswith('<ul dir="rtl">')
    assert render(f"{items}\nاب").startswith('<ul dir="ltr">')
    assert render("- 1\n" * 10).startswith('<ul dir="auto">')
    assert '<ul dir="rtl">' in render("> a\n>\n" + "> - اب\n" * 60)
    assert render("> a\n>\n" + "> - اب\n" * 60).startswith('<blockquote dir="ltr">')


@pytest.mark.parametrize("unit", ["- 1\n", "> - 1\n", "1\n", "`|` ", "# 1\n", "1\n\n"])
def test_it_is_found_in_linear_time(unit: str) -> None:
    text = unit * (60_000 // len(unit))
    began = time.process_time()
    render(text)
    assert time.process_time() - began < 10
