"""The passages of a file that its case has: each hit is at its place there."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chat.moderation.attached_files import AROUND, GAP, quote
from chat.moderation.matching.matcher import Action, Hit

spans = st.lists(st.tuples(st.integers(0, 3_000), st.integers(1, 40)), min_size=1, max_size=12)


@given(spans, st.integers(200, 5_000))
def test_hits_are_where_their_words_are(found: list[tuple[int, int]], most: int) -> None:
    text = "".join(chr(0x4E00 + number) for number in range(4_000))  # every place has a letter of its own
    hits = [Hit(start, start + length, 0, Action.BLOCK) for start, length in found]
    quoted, moved = quote("name.txt", text, hits, most)
    assert quoted.startswith("name.txt\n\n")
    assert moved, "the first hit is always there"
    for hit, there in zip(sorted(hits), moved, strict=False):
        assert quoted[there.start : there.end] == text[hit.start : hit.end]
    body = quoted.removeprefix("name.txt\n\n").removeprefix(GAP.lstrip())
    assert all(part in text for part in body.split(GAP))
    assert len(quoted) <= most + 3_000
    if len(moved) == len(hits):
        assert len(quoted) <= len("name.txt\n\n") + sum(2 * AROUND + length + len(GAP) for _, length in found)
