"""How a query becomes words and conditions, and how passages are marked."""

from __future__ import annotations

import pytest

from chat.search.folding import fold, words_of
from chat.search.passages import has_all_runs, near_words, pieces_of, pieces_of_message
from chat.search.queries import MAX_WORDS, read_query, variants_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Müller’s naïve ÇA", ["muller", "s", "naive", "ca"]),
        ("Straße Œuvre Łódź ﬁne ＡＢＣ", ["strasse", "oeuvre", "lodz", "fine", "abc"]),
        ("ПРИВЕТ Ёлка ΣΊΣΥΦΟΣ", ["привет", "елка", "σισυφοσ"]),
        ("Python编程 snake_case", ["python", "编程", "snake", "case"]),
        ("أهلاً وسهلاً", ["اهلا", "وسهلا"]),
        ("100% 'quoted' (a|b)* \\ <b>", ["100", "quoted", "a", "b"]),
        ("\x00 \ud800 …", []),
    ],
)
def test_words_are_compared_without_accents_and_case(text: str, words: list[str]) -> None:
    assert [word.text for word in read_query(text).words] == words


def test_a_thousand_words_are_a_dozen() -> None:
    assert len(read_query(" ".join(f"word{number}" for number in range(1000))).words) == MAX_WORDS


def test_conditions() -> None:
    assert read_query("Deep sea").condition(["k1", "k2"]) == "('k1deep':* | 'k2deep':*) & ('k1sea':* | 'k2sea':*)"
    assert read_query("东京塔").condition() == "('东京') & ('京塔')"
    assert read_query("猫").condition() == "('猫':*)"
    assert read_query("a").is_broad
    assert not read_query("猫").is_broad
    assert read_query("cat").similar() == ""


@pytest.mark.parametrize("typo", ["recieve", "receve", "receeive", "reveive", "erceive"])
def test_one_typing_error_is_found(typo: str) -> None:
    assert {"'receive'", "'receive':*"} & set(variants_of(typo))
    assert [word.text for word in near_words("You receive nothing here", words_of(typo))] == ["receive"]


@pytest.mark.parametrize(
    ("text", "query", "marked"),
    [
        ("The Déjà vu of déjà", "deja", ["Déjà", "déjà"]),
        ("Die Straße am Fluss", "strasse", ["Straße"]),
        ("今日は東京タワーへ", "東京", ["東京"]),
        ("a <b>bold</b> word", "bold", ["bold"]),
        ("beginning in the middle", "the", ["the"]),
        ("nothing here", "else", []),
    ],
)
def test_hits_are_marked(text: str, query: str, marked: list[str]) -> None:
    pieces = pieces_of(text, read_query(query).words)
    assert "".join(piece for piece, _ in pieces) == text
    assert [piece for piece, is_hit in pieces if is_hit] == marked


def test_a_passage_is_short_and_has_the_hit() -> None:
    pieces = pieces_of("word " * 2000 + "needle " + "word " * 2000, read_query("needle").words)
    assert ("needle", True) in pieces
    assert pieces[0] == pieces[-1] == ("…", False)
    assert sum(len(piece) for piece, _ in pieces) < 200


def test_the_passage_of_an_answer_has_the_words_that_are_shown() -> None:
    pieces = pieces_of_message(
        "A **nee**dle is `here`", "<p>A <strong>nee</strong>dle is <code>here</code></p>", read_query("needle").words
    )
    assert pieces == [("A ", False), ("needle", True), (" is here", False)]


def test_where_no_reader_sees_the_words_the_passage_is_of_the_source() -> None:
    text, html = "[a link](https://example.org/needle)", '<p><a href="https://example.org/needle">a link</a></p>'
    assert ("needle", True) in pieces_of_message(text, html, read_query("needle").words)
    assert pieces_of_message(text, html, read_query("absent").words) == [("a link", False)]


def test_a_run_counts_as_a_whole() -> None:
    assert has_all_runs("这是重要消息", read_query("重要消息").words)
    assert not has_all_runs("重要 要消 消息", read_query("重要消息").words)


def test_folding_ascii_is_the_same_as_folding_anything() -> None:
    assert fold("Plain ASCII é") == "plain ascii e"
