"""Names as others see them: nothing in them deceives, and no script is damaged."""

from __future__ import annotations

import pytest
from django.utils.translation import override
from hypothesis import given
from hypothesis import strategies as st

from accounts.lib.names import isolate, shown_name
from accounts.models import User


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Alice", "Alice"),
        ("  Alice \t B. ", "Alice B."),
        ("Ali\u202ece\u202c", "Ali ce"),
        ("\u2066admin\u2069", "admin"),
        ("Bob\x00\x1b[31m", "Bob [31m"),
        ("Bo\u200bb\ufeff", "Bo b"),
        ("a\u0308\u0308\u0308\u0308\u0308\u0308\u0308\u0308", "a\u0308\u0308\u0308"),
        ("two\nlines\u2028and more", "two lines and more"),
        ("\u200b\u2060", ""),
        ("\u200d", ""),
        ("نرگس", "نرگس"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("👩\u200d🚀 Eve", "👩\u200d🚀 Eve"),
        ("क्\u200dष", "क्\u200dष"),
        ("Zoë Ångström", "Zoë Ångström"),
        ("\ud800x", "x"),
    ],
)
def test_shown(name: str, shown: str) -> None:
    assert shown_name(name) == shown


@given(st.text(max_size=50))
def test_it_is_stable_and_has_no_control(name: str) -> None:
    shown = shown_name(name)
    assert shown_name(shown) == shown
    assert not any(ord(one) < 32 or 0x202A <= ord(one) <= 0x202E or 0x2066 <= ord(one) <= 0x2069 for one in shown)


def test_nothing_to_be_seen_is_part_of_the_address() -> None:
    assert User(email="eve@example.org", name="\u202e\u200b").display_name == "eve"


def test_parts_of_a_line_keep_their_order_in_right_to_left_pages() -> None:
    with override("en"):
        assert isolate("2 kB") == "2 kB"
        assert isolate("أمل") == "\u2068أمل\u2069"
    with override("ar"):
        assert isolate("2 kB") == "\u20682 kB\u2069"
