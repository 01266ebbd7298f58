"""Marked places of a text: nothing is lost or shown twice, whatever a rule or a judge claims to have found."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chat.models import ModerationCase
from chat.review.case_file import mark
from chat.review.effects import masked_original, places

SPANS = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20)).map(lambda pair: (pair[0], pair[0] + pair[1])))


@given(st.text(max_size=50), SPANS)
def test_the_parts_are_the_text(text: str, spans: list[tuple[int, int]]) -> None:
    parts = mark(text, spans)
    assert "".join(part.text for part in parts) == text
    assert all(part.text for part in parts)
    marked = {at for start, end in spans for at in range(start, min(end, len(text)))}
    at = 0
    for part in parts:
        for _ in part.text:
            assert (at in marked) is part.marked
            at += 1


@given(st.text(max_size=50), SPANS)
def test_places_lie_within_the_original(text: str, spans: list[tuple[int, int]]) -> None:
    case = ModerationCase(
        original=text, rules=[{"name": "r", "places": [list(span) for span in spans]}, {"judge": "j"}]
    )
    assert all(0 <= start < end <= len(text) for start, end in places(case))


def test_what_overlaps_is_masked_together() -> None:
    rules = [{"places": [[0, 4], [2, 6]]}, {"places": [[8, 9], [90, 99]]}]
    assert masked_original(ModerationCase(original="abcdefghij", rules=rules)) == "***gh***j"
