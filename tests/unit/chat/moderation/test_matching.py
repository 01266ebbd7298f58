"""`chat.moderation.matching`: which words, patterns and personal data are found, and where."""

from __future__ import annotations

import pytest

from chat.moderation.matching import linear
from chat.moderation.matching.matcher import Action, Matcher, Rule, action_of, check, compile_fitting, masked
from chat.moderation.matching.pii import Pii
from chat.moderation.matching.words import ENDINGS

pytestmark = pytest.mark.unit


def found(rule: Rule, text: str) -> list[str]:
    return [text[hit.start : hit.end] for hit in Matcher([rule]).find(text)]


def words(*listed: str, locale: str = "en", disguised: bool = False) -> Rule:
    return Rule(1, Action.MASK, words=listed, locale=locale, disguised=disguised)


@pytest.mark.parametrize(
    ("listed", "text", "hits"),
    [
        ("shit", "Shit, shits and shitting; shitake", ["Shit", "shits", "shitting"]),
        ("ass", "class assets bass pass assess ass. asses", ["ass", "asses"]),
        ("cunt", "Scunthorpe", []),
        ("fuse", "fusing fused fuse refuse", ["fusing", "fused", "fuse"]),
        ("kill you", "I will kill \n you now", ["kill \n you"]),
        ("kill", "kill a python process, skill, killer", ["kill", "killer"]),
        ("naïve", "NAI\u0308VE naive", ["NAI\u0308VE", "naive"]),
        ("死ね", "お前死ねよ", ["死ね"]),
        ("바보", "바보야", ["바보"]),
        ("дурак", "Дурак!", ["Дурак"]),
        ("c++", "I like C++ much", ["C++"]),
    ],
)
def test_words(listed: str, text: str, hits: list[str]) -> None:
    assert found(words(listed), text) == hits


def test_endings_depend_on_the_language() -> None:
    assert found(words("dumm", locale="de"), "dumme dummes dumms") == ["dumme", "dummes", "dumms"]
    assert found(words("dumm", locale="fr"), "dummen") == []
    assert found(words("dumm", locale=""), "dumms dumm") == ["dumm"]
    assert all(ending == ending.casefold() for endings in ENDINGS.values() for ending in endings)


@pytest.mark.parametrize(
    ("text", "hits"),
    [
        ("f u c k that", ["f u c k"]),
        ("f.u.c.k", ["f.u.c.k"]),
        ("fuuuuuck", ["fuuuuuck"]),
        ("f*ck f**k", ["f*ck", "f**k"]),
        ("fυсκ", ["fυсκ"]),
        ("f\u200bu\u200bc\u200bk", ["f\u200bu\u200bc\u200bk"]),
        ("fuck fuck", ["fuck", "fuck"]),
        ("fvck", ["fvck"]),
        ("f*** f***", []),  # nobody knows which word
        ("if u can know", []),
        ("half uck", []),
    ],
)
def test_disguised_words(text: str, hits: list[str]) -> None:
    assert found(words("fuck", disguised=True), text) == hits


def test_only_severe_words_are_searched_for_in_disguise() -> None:
    assert found(words("fuck"), "f u c k fuuuck") == []
    assert found(words("ass", disguised=True), "455 as 4s") == []  # numbers are no words
    assert found(words("ass", disguised=True), "@ss a$$ a s s") == ["@ss", "a$$", "a s s"]


@pytest.mark.parametrize(
    ("kind", "locale", "text", "hits"),
    [
        (Pii.EMAIL, "", "bob.c+d@exämple.co.uk, @bob, a@b", ["bob.c+d@exämple.co.uk"]),
        (Pii.PHONE, "", "+49 30 901820 or 030 901820", ["+49 30 901820"]),
        (Pii.PHONE, "de", "call 030 901820 today", ["030 901820"]),
        (Pii.PHONE, "en-US", "(415) 555-2671, in 2024 and 1234567", ["(415) 555-2671"]),
        (Pii.CARD, "", "4111 1111 1111 1111 123", ["4111 1111 1111 1111"]),
        (Pii.CARD, "", "4111-1111-1111-1112", []),
        (Pii.CARD, "", "４１１１１１１１１１１１１１１１", ["４１１１１１１１１１１１１１１１"]),
        (Pii.IBAN, "", "DE89 3704 0044 0532 0130 00 and then", ["DE89 3704 0044 0532 0130 00"]),
        (Pii.IBAN, "", "DE89 3704 0044 0532 0130 01", []),
        (Pii.NATIONAL_ID, "en-US", "536-90-4399 and 000-12-3456", ["536-90-4399"]),
        (Pii.NATIONAL_ID, "de", "36 574 261 809", ["36 574 261 809"]),
        (Pii.NATIONAL_ID, "fr", "36574261809", []),
        (Pii.SECRET_KEY, "", "use sk-proj-abcdefghijklmnopqrstuv!", ["sk-proj-abcdefghijklmnopqrstuv"]),
        (Pii.SECRET_KEY, "", "AKIAIOSFODNN7EXAMPLE task-risk-ask-", ["AKIAIOSFODNN7EXAMPLE"]),
    ],
)
def test_personal_data(kind: Pii, locale: str, text: str, hits: list[str]) -> None:
    assert found(Rule(1, Action.MASK, pii=(kind,), locale=locale), text) == hits


def test_patterns_know_no_case() -> None:
    rule = Rule(1, Action.FLAG, patterns=(r"\bproject\s+x-?\d+",))
    assert found(rule, "Project  X-12, projects x") == ["Project  X-12"]


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        (Rule(1, Action.FLAG), "needs a word"),
        (Rule(1, Action.FLAG, words=("",)), "letter or a digit"),
        (Rule(1, Action.FLAG, words=("\u200b !",)), "letter or a digit"),
        (Rule(1, Action.FLAG, words=("x" * 65,)), "at most 64"),
        (Rule(1, Action.FLAG, patterns=("(a",)), "RE2 refuses the pattern: missing"),
        (Rule(1, Action.FLAG, patterns=(r"(?<=a)b",)), "RE2 refuses"),
        (Rule(1, Action.FLAG, patterns=("(a{1000}){1000}",)), "RE2 refuses"),
        (Rule(1, Action.FLAG, patterns=("a*",)), "would match everything"),
        (Rule(1, Action.FLAG, patterns=(".",)), "in nearly every text"),
        (Rule(1, Action.FLAG, patterns=("x-1", r"\w+")), "in nearly every text"),
        (Rule(1, Action.FLAG, patterns=("a" * 1001,)), "at most 1000"),
        (Rule(1, Action.FLAG, words=tuple(f"w{n}" for n in range(301)), disguised=True), "in disguise"),
    ],
)
def test_a_rule_that_cannot_be_used_is_refused_with_a_reason(rule: Rule, reason: str) -> None:
    with pytest.raises(ValueError, match=reason.replace("(", r"\(")):
        check(rule)


def test_rules_that_are_too_much_together_are_left_out_one_by_one() -> None:
    """The others stay in force."""
    first, second = (
        Rule(number, Action.MASK, words=tuple(f"{letter}{n}" for n in range(200)), disguised=True)
        for number, letter in ((1, "w"), (2, "v"))
    )
    matcher, left_out = compile_fitting([first, second, Rule(3, Action.MASK, words=("damn",))])
    assert "in disguise" in left_out.pop(2)
    assert left_out == {}
    assert [hit.rule for hit in matcher.find("damn w7 v7")] == [3, 1]


def test_patterns_that_need_too_much_memory_together_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear, "SET_MEMORY", 1 << 14)
    with pytest.raises(ValueError, match="memory"):
        check(Rule(1, Action.MASK, patterns=tuple(f"x{n}[a-z]{{200}}" for n in range(20))))


def test_the_most_severe_action_holds() -> None:
    matcher = Matcher([Rule(1, Action.MASK, words=("secret",)), Rule(2, Action.BLOCK, words=("secret plan",))])
    assert action_of(matcher.find("the secret plan")) is Action.BLOCK
    assert action_of(matcher.find("a secret")) is Action.MASK
    assert action_of(matcher.find("nothing")) is None


def test_masking_says_what_was_there() -> None:
    rule = Rule(1, Action.MASK, words=("damn", "damn it"), pii=(Pii.EMAIL,))
    text = "👩‍👩‍👧 damn it, bob@example.com"
    assert masked(text, Matcher([rule]).find(text)) == "👩‍👩‍👧 ***, [email address]"


def test_no_rules_find_nothing() -> None:
    assert Matcher([]).find("anything") == []
