"""`chat.moderation.matching`: an answer in any pieces is masked as the whole is, by each kind of rule alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from chat.moderation.matching.disguised import DisguisedIndex, _same, _skeleton
from chat.moderation.matching.forms import folded
from chat.moderation.matching.matcher import REACH, Action, Hit, Matcher, Rule, masked
from chat.moderation.matching.pii import Pii
from chat.moderation.matching.stream import StreamFilter
from chat.moderation.matching.words import ENDINGS, Word, WordIndex, begins_word

pytestmark = pytest.mark.unit

# What each kind of rule finds, and what it nearly does.
LISTED = ("shit", "kill you", "死ね", "naïve", "fuse", "c++", "дурак")
NEAR_LISTED = (
    "shit", "Shitting", "shitti", "shits", "shitake", "kill \n you", "kill", "お前", "死", "ね", "nai\u0308ve", "fus",
    "ing", "ed", "c+", "+", "ду", "рак", "_", "o'", "$", "а",
)  # fmt: skip
NEAR_DISGUISED = ("s h i t", "$h1t", "shiiit", "s", "h", "1", "t", "*", "sh*t", "(", "_", "死", "|", "ss")
NEAR_PATTERNS = ("project-123", "Project-", "project", "-12", "3", "x-", "12")
NUMBERS: dict[Pii, tuple[str, ...]] = {
    Pii.EMAIL: ("ann@example.com", "ann", "@", "exa", ".org"),
    Pii.PHONE: ("+49 30 901820", "(212) 555-2368", "+49", " 30", "90", "(", "-", "/"),
    Pii.CARD: ("4111 1111 1111 1111", "4111", " 1111", "5500-0000-0000-0004", "-", "0"),
    Pii.IBAN: ("DE89 3704 0044 0532 0130 00", "GB29NWBK60161331926819", "DE89", " 3704", "NO24", "GB", "00", "a1"),
    Pii.NATIONAL_ID: ("536-90-4399", "536", "-90", "-4399", "943 476 5919"),
    Pii.SECRET_KEY: ("AKIAIOSFODNN7EXAMPLE", "AKIA", "hf_", "sk-", "x" * 20),
}
COMMON = (" ", "\n", ". ", "a", "the ", "é", "\u0301", "\u200b", "👩\u200d👩", "שלום", "ﬁ", ",")


def cut_anywhere(*parts: str) -> st.SearchStrategy[list[str]]:
    @st.composite
    def pieces(draw: st.DrawFn) -> list[str]:
        text = "".join(draw(st.lists(st.sampled_from((*parts, *COMMON)), max_size=12)))
        cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=12)))
        return [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]

    return pieces()


@cache
def compiled(rule: Rule) -> Matcher:
    return Matcher([rule])


def streamed(matcher: Matcher, cut: list[str]) -> tuple[str, list[Hit], list[Hit]]:
    """What was shown, the hits, and those that had been shown in part."""
    stream, shown = StreamFilter(matcher), []
    for piece in cut:
        shown.append(stream.feed(piece))
        assert stream.held <= REACH
    shown.append(stream.feed("", last=True))
    assert stream.held == 0
    late = [hit for each in shown for hit in each.late]
    return "".join(each.text for each in shown), [hit for each in shown for hit in each.hits], late


def is_masked_as_the_whole(rule: Rule, cut: list[str]) -> None:
    text, matcher = "".join(cut), compiled(rule)
    shown, hits, late = streamed(matcher, cut)
    assert late == []
    assert shown == masked(text, matcher.find(text))
    assert masked(text, hits) == shown


@given(cut_anywhere(*NEAR_LISTED), st.sampled_from(["en", ""]))
@example(["Shitti", "ng"], "en")  # the beginning of an ending
@example(["shits", "on"], "en")  # no ending any more
@example(["fusi", "ng"], "en")
@example(["お前死", "ね"], "en")  # no blank before it
@example(["_sh", "it"], "en")
@example(["'c+", "+"], "en")
def test_listed_words(cut: list[str], locale: str) -> None:
    is_masked_as_the_whole(Rule(1, Action.MASK, words=LISTED, locale=locale), cut)


@given(cut_anywhere(*NEAR_DISGUISED))
@example(["(s h", " i t"])
@example(["a$h1", "t"])
def test_disguised_words(cut: list[str]) -> None:
    text = "".join(cut)
    matcher = compiled(Rule(1, Action.MASK, words=("shit", "bastard"), disguised=True))
    assume(all(hit.end - hit.start <= REACH for hit in matcher.find(text)))
    shown, hits, late = streamed(matcher, cut)
    assert late == []
    assert masked(text, hits) == shown


@given(cut_anywhere(*NEAR_PATTERNS))
def test_patterns(cut: list[str]) -> None:
    assume(all(len(run) <= REACH for run in "".join(cut).split()))
    is_masked_as_the_whole(Rule(1, Action.MASK, patterns=(r"\bproject-\d{3}\b", r"x-\d+")), cut)


@pytest.mark.parametrize("kind", Pii)
@given(data=st.data())
def test_personal_data(kind: Pii, data: st.DataObject) -> None:
    cut = data.draw(cut_anywhere(*NUMBERS[kind], "in "))
    text = "".join(cut)
    assume(all(len(run) <= REACH for run in [*text.split(), *re.findall(r"[\d ().+/-]+", text)]))
    is_masked_as_the_whole(Rule(1, Action.MASK, pii=(kind,), locale="en"), cut)


def first_start(text: str, is_beginning: Callable[[str], bool]) -> int:
    starts = [at for at in range(max(0, len(text) - REACH), len(text)) if begins_word(text, at)]
    return next((at for at in starts if is_beginning(text[at:])), len(text))


@given(st.lists(st.sampled_from((*NEAR_LISTED, *COMMON)), max_size=8).map("".join))
def test_where_a_listed_word_is_unfinished(text: str) -> None:
    """As the definition has it, which tries each word at each place."""
    text = folded(text).text
    words = [Word(1, word, "en") for word in LISTED]
    stems = [(word.form(), False) for word in words] + [("fus", True)]
    endings = ENDINGS["en"]

    def is_beginning(tail: str) -> bool:
        for stem, shortened in stems:
            rest = tail[len(stem) :]
            if stem.startswith(tail) or (tail.startswith(stem) and rest and any(
                each.startswith(rest) and (not shortened or each[0] in "aeiouy") for each in endings
            )):  # fmt: skip
                return True
            doubled = not shortened and tail.startswith(stem) and rest[:1] == stem[-1]
            if doubled and any(each.startswith(rest[1:]) and each[0] in "aeiouy" for each in endings):
                return True
        return False

    assert WordIndex(words).unfinished_from(text) == first_start(text, is_beginning)


@given(st.lists(st.sampled_from((*NEAR_DISGUISED, *COMMON, "bas", "tard", "ba*")), max_size=8).map("".join))
@example("a sh*")
@example("ba*t")
@example("b a a s s")
def test_where_a_disguised_word_is_unfinished(text: str) -> None:
    text = folded(text).text
    index = DisguisedIndex([Word(1, "shit"), Word(1, "bastard")])
    skeletons = [_skeleton("shit"), _skeleton("bastard")]

    def is_beginning(tail: str) -> bool:
        skeleton = _skeleton(tail)
        named = skeleton[:1] not in ("", "*") and _skeleton(tail[0])
        return bool(named) and any(_same(skeleton, each[: len(skeleton)]) for each in skeletons)

    assert index.unfinished_from(text) == first_start(text, is_beginning)


@given(cut_anywhere(*NEAR_LISTED), st.integers(0, 40))
@example(["a" * 30, " kill you"], 38)
@example(["\u200b" * 40, "shit"], 42)  # of which nothing is left in the form that is searched
def test_hits_after_a_place_are_those_of_the_whole(cut: list[str], after: int) -> None:
    text = "".join(cut)
    matcher = compiled(Rule(1, Action.MASK, words=LISTED, locale="en"))
    hits, _ = matcher.find_unfinished(text, after)
    assert [hit for hit in hits if hit.end > after] == [hit for hit in matcher.find(text) if hit.end > after]
