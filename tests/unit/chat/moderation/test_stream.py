"""`chat.moderation.matching.stream`: an answer in any pieces is masked as the whole is; nothing is shown too early."""

from __future__ import annotations

import pytest
import regex
from hypothesis import assume, example, given
from hypothesis import strategies as st

from chat.moderation.matching import stream
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
@example(["死ね*s h i t👩\u200d👩\u200d👧shit"])  # three hits, each of which overlaps the next or what is held back
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


def test_what_is_only_flagged_is_not_held_back() -> None:
    flags = Matcher([Rule(1, Action.FLAG, words=("kill you",), patterns=(r"a\w+z",), pii=(Pii.EMAIL,), locale="en")])
    stream = StreamFilter(flags)
    assert stream.feed("I kill").text == "I kill"
    released = [stream.feed(" yo"), stream.feed("u, a"), stream.feed("bz at a@exam"), stream.feed("ple.com")]
    assert "".join(each.text for each in released) == " you, abz at a@example.com"
    assert stream.held == 0
    found = {(hit.start, hit.end) for each in released for hit in each.hits}
    assert {(2, 10), (12, 15), (19, 32)} <= found


@given(pieces())
def test_hits_of_a_stream_are_those_of_the_whole_text(cut: list[str]) -> None:
    """Their offsets are those of the original, whatever is masked before them, and split no character."""
    text = "".join(cut)
    assume(all(len(run) <= REACH for run in text.split()))
    stream = StreamFilter(MATCHER)
    found = [hit for piece in cut for hit in stream.feed(piece).hits] + [*stream.feed("", last=True).hits]
    masks = {hit for hit in found if hit.action is Action.MASK}
    assert masked(text, masks) == masked(text, [hit for hit in MATCHER.find(text) if hit.action is Action.MASK])
    edges = {match.start() for match in regex.finditer(r"\X", text)} | {len(text)}
    assert all(hit.start in edges and hit.end in edges for hit in masks)


RTL = "\u05e9\u05dc\u05d5\u05dd"  # a word of Hebrew
MIXED = st.sampled_from([RTL, "\u05b0", " ", "e\u0301", "\U0001f468\u200d\U0001f469", "\u202e", "b"])


@given(
    st.lists(st.sampled_from([RTL, "\u05b0", " ", "e\u0301", "\U0001f468\u200d\U0001f469", "\u202e", "b"]), max_size=12)
)
def test_a_mask_leaves_marks_emoji_and_other_directions_whole(parts: list[str]) -> None:
    """What is left of the text is made of whole characters of it."""
    matcher = Matcher([Rule(1, Action.MASK, words=(RTL, "\u00e9", "b"))])
    text = "".join(parts)
    characters = regex.findall(r"\X", text)
    left = masked(text, matcher.find(text), lambda _: "\x00").split("\x00")
    assert [each for part in left for each in regex.findall(r"\X", part) if each not in characters] == []


@given(pieces(), st.integers(0, 10))
def test_a_text_that_goes_on_is_screened_with_its_beginning(cut: list[str], at: int) -> None:
    """A continued answer: what was there before is shown already, and a hit that began in it is late."""
    text = "".join(cut)
    assume(all(len(run) <= REACH for run in text.split()))
    before, rest = text[:at], text[at:]
    stream = StreamFilter(MATCHER, before)
    released = [stream.feed(rest), stream.feed("", last=True)]
    for hit in (hit for each in released for hit in each.late):
        assert hit.start < len(before) < hit.end
    hits = [hit for each in released for hit in each.hits if hit.action is Action.MASK]
    assert all(hit in MATCHER.find(text) for hit in hits if hit.end < len(text) - REACH)
    assert stream.shown == len(text)


def test_the_rest_of_a_late_mask_is_not_shown() -> None:
    stream = StreamFilter(Matcher([Rule(1, Action.MASK, patterns=(r"secret \w+",))]))
    released = [stream.feed("The secret "), stream.feed("project is"), stream.feed("", last=True)]
    assert [each.text for each in released] == ["The secret ", "*** ", "is"]
    assert [(hit.start, hit.end) for hit in released[1].late] == [(4, 18)]


@given(st.text("0127 +(-)/.ax\n٣", max_size=24), st.integers(0, 24))
@example("tel. (030) 12", 0)
@example("+49 ", 1)
def test_a_number_at_the_end_is_found_as_by_its_pattern(window: str, tail: int) -> None:
    tail = min(tail, len(window))
    number = stream._NUMBER.search(window, tail)
    assert stream._number_from(window, tail) == (number.start() if number else len(window))
