"""Whom a text mentions."""

from __future__ import annotations

import time
import uuid

import pytest

from chat.turns.mentions import ANY_MODEL, Person, find_mentions

ANNA = Person(uuid.UUID(int=1), "Anna")
ANNA_MARIA = Person(uuid.UUID(int=2), "Anna Maria")
ANDRE = Person(uuid.UUID(int=3), "André O’Neill")
TANAKA = Person(uuid.UUID(int=4), "田中")
SALMA = Person(uuid.UUID(int=5), "سلمى")
EVERYBODY = [ANNA, ANNA_MARIA, ANDRE, TANAKA, SALMA]
MODELS = {"gpt-4o": "openai/gpt-4o", "openai/gpt-4o": "openai/gpt-4o"}


def mentioned(text: str, people: list[Person] = EVERYBODY) -> list[str]:
    """Each mention as it stands in the text, and who it is."""
    known = {person.id: person.name for person in people}
    return [
        f"{text[one.start : one.start + one.length]} = {known[one.person] if one.person else one.model}"
        for one in find_mentions(text, people, MODELS)
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Hello @Anna!", ["@Anna = Anna"]),
        ("@anna, @ANNA maria: look", ["@anna = Anna", "@ANNA maria = Anna Maria"]),
        ("@Anna Marian is somebody else", ["@Anna = Anna"]),
        ("@Annabel", []),
        ("@Anna's idea (@Anna)", ["@Anna = Anna", "@Anna = Anna"]),
        ("@Anna  Maria with two blanks", ["@Anna  Maria = Anna Maria"]),
        ("@andre o’neill without the accent", ["@andre o’neill = André O’Neill"]),
        ("@Andre\u0301 O’Neill", ["@Andre\u0301 O’Neill = André O’Neill"]),
        ("@田中さん", ["@田中 = 田中"]),
        ("قال @سلمى هذا", ["@سلمى = سلمى"]),
        ("@\u202eAn\u200bna\u202c", ["@\u202eAn\u200bna = Anna"]),
        ("＠Ａｎｎａ of full width", ["＠Ａｎｎａ = Anna"]),
        ("@Аnnа with letters of another script", ["@Аnnа = Anna"]),
        ("@model what now", ["@model = model"]),
        ("@Model? @models", ["@Model = model"]),
        ("ask @gpt-4o and @openai/gpt-4o", ["@gpt-4o = openai/gpt-4o", "@openai/gpt-4o = openai/gpt-4o"]),
        ("anna@anna.example and me@Anna", []),
        ("`@Anna` and ``a ` @Anna`` but @Anna", ["@Anna = Anna"]),
        ("```\n@Anna\n```\n@Anna", ["@Anna = Anna"]),
        ("~~~ python\n@model\nno end", []),
        ("`open\n\n@Anna `", ["@Anna = Anna"]),
        ("@ Anna, @, @@Anna", []),
        ("", []),
    ],
)
def test_found(text: str, found: list[str]) -> None:
    assert mentioned(text) == found


def test_two_people_whose_names_look_alike_are_told_apart_by_the_exact_spelling() -> None:
    cyrillic = Person(uuid.UUID(int=9), "Аnna")
    assert mentioned("@Anna", [ANNA, cyrillic]) == ["@Anna = Anna"]
    assert mentioned("@Аnna", [ANNA, cyrillic]) == ["@Аnna = Аnna"]
    assert mentioned("@ÁNNÁ", [ANNA, cyrillic]) == [], "either"


def test_people_of_one_name_are_mentioned_together() -> None:
    other = Person(uuid.UUID(int=9), "anna")
    assert [one.person for one in find_mentions("@Anna", [ANNA, other], {})] == [ANNA.id, other.id]


def test_a_person_who_is_called_like_the_word_for_the_model() -> None:
    assert mentioned("@Model", [Person(uuid.UUID(int=9), "Model")]) == [f"@Model = {ANY_MODEL}"]


def test_a_name_of_nothing_that_can_be_seen() -> None:
    assert mentioned("@\u202e @", [Person(uuid.UUID(int=9), "\u202e")]) == []


def test_offsets_are_code_points() -> None:
    [found] = find_mentions("🐊🐊 @Anna", [ANNA], {})
    assert (found.start, found.length) == (3, 5)
    assert found.stored() == {"start": 3, "length": 5, "user": str(ANNA.id)}


@pytest.mark.parametrize("text", ["@" * 48_000, "`" * 48_000, "` `` ``` " * 5_000 + "@Anna", "@Anna " * 8_000])
def test_hostile_texts_take_no_time(text: str) -> None:
    crowd = [Person(uuid.UUID(int=n + 1), "Anna " * (n % 20) + str(n)) for n in range(200)]
    began = time.process_time()
    assert len(find_mentions(text, [ANNA, *crowd], {})) <= 200
    assert time.process_time() - began < 5, "it takes a tenth of a second"
