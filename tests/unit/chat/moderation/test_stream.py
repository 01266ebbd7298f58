"""`chat.moderation.matching.stream`: an answer in any pieces is masked as the whole is; nothing is shown too early."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from chat.moderation.matching.matcher import REACH, Action, Matcher, Rule, masked
from chat.moderation.matching.pii import Pii
from chat.moderation.matching.stream import StreamFilter

pytestmark = pytest.mark.unit

MATCHER = Matcher(
    [
        Rule(1, Action.MASK, words=("shit", "kill you", "死ね", "naïve"), locale="en", disguised=True),
        Rule(2, Action.MASK, pii=(Pii.EMAIL, Pii.CARD)),
        Rule(3, Action.FLAG, words=("maybe",)),
    ]
)
WORDS_ONLY = Matcher([Rule(1, Action.MASK, words=("shit", "kill you"), locale="en")])
BLOCKS = Matcher([Rule(1, Action.BLOCK, words=("bomb recipe",)), Rule(2, Action.MASK, words=("damn",))])
HITS = (
    "shit",
    "Shitting",
    "s h i t",
    "$h1t",
    "shiiit",
    "死ね",
    "nai\u0308ve",
    " a@example.com ",
    " 4111 1111 1111 1111 ",
)
NEAR = ("kill ", " you", "maybe", "skill", "shitake", "a", "the ", "word", "12", "@", "*", ".", " ", "\n")
MARKS = ("é", "👩‍👩‍👧", "\u0301", "\u200b")
PARTS = st.sampled_from(HITS + NEAR + MARKS)


@st.composite
def pieces(draw: st.DrawFn) -> list[str]:
    text = "".join(draw(st.lists(PARTS, max_size=14)))
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=12)))
    return [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]


@given(pieces())
def test_a_stream_is_masked_as_the_whole_text_is(cut: list[str]) -> None:
    text = "".join(cut)
    hits = [hit for hit in MATCHER.find(text) if hit.action is Action.MASK]
    assume(all(len(run) <= REACH for run in text.split()))  # what looks like one endless address
    stream = StreamFilter(MATCHER)
    released = [stream.feed(piece) for piece in cut] + [stream.feed("", last=True)]
    assert not any(each.late for each in released)
    assert "".join(each.text for each in released) == masked(text, hits)
    assert stream.held == 0


@given(pieces())
def test_little_is_held_back(cut: list[str]) -> None:
    stream = StreamFilter(MATCHER)
    for piece in cut:
        stream.feed(piece)
        assert stream.held <= REACH


def test_nothing_is_held_back_without_need() -> None:
    stream = StreamFilter(WORDS_ONLY)
    assert stream.feed("Nothing here looks like a listed wor").text == "Nothing here looks like a listed wor"
    assert stream.feed("d. But sh").text == "d. But "
    assert stream.feed("ip").text == "ship"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_a_block_shows_nothing_from_its_beginning_on(size: int) -> None:
    text = "Well, damn: the bomb recipe goes like this"
    stream, shown = StreamFilter(BLOCKS), ""
    for at in range(0, len(text), size):
        released = stream.feed(text[at : at + size])
        shown += released.text
        if released.blocked:
            break
    assert shown == "Well, ***: the "
    assert [(hit.start, hit.end) for hit in released.hits if hit.action is Action.BLOCK] == [(16, 27)]
    with pytest.raises(ValueError, match="blocked"):
        stream.feed("more")


def test_a_hit_longer_than_what_is_held_back_is_late() -> None:
    matcher = Matcher([Rule(1, Action.BLOCK, patterns=(r"begin\s.*\send",))])
    stream = StreamFilter(matcher)
    released = [stream.feed("begin "), stream.feed("word " * 8), stream.feed("end ")]
    assert released[1].text
    assert released[2].blocked
    assert [(hit.start, hit.end) for hit in released[2].late] == [(0, 49)]
    assert released[2].text == ""
