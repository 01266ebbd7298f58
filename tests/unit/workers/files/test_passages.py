"""Which passages of many files fit a question."""

from __future__ import annotations

from chat.search.folding import words_of
from workers.files.passages import (
    Window,
    best_parts,
    names_with,
    rank_windows,
    take_windows,
    weights_of,
    windows_of,
)


def count(text: str) -> int:
    return len(text) // 4 + 1


def choose(texts: list[str], question: str, room: int = 1_000, names: list[str] | None = None) -> list[int]:
    words = words_of(question)
    windows = [Window(at, 1, "", 0, text) for at, text in enumerate(texts)]
    flags = [[word.text in text.lower() for word in words] for text in texts]
    named = names_with(names or [], words)
    return [one.file for one in take_windows(rank_windows(windows, words, weights_of(flags), named), room, count)]


def test_windows_are_the_text_in_pieces_with_their_places() -> None:
    text = "\n\n".join(f"Paragraph {at}. " + "Words go on. " * 20 for at in range(30))
    pieces = list(windows_of(text, 700))
    assert len(pieces) > 10
    assert all(text[start : start + len(piece)] == piece and len(piece) <= 700 for start, piece in pieces)
    assert "".join(piece for _, piece in pieces).replace(" ", "").replace("\n", "") == text.replace(" ", "").replace(
        "\n", ""
    )
    assert sum(piece.startswith("Paragraph") for _, piece in pieces) >= len(pieces) - 2  # cut at blank lines


def test_a_text_without_any_border_is_cut_all_the_same() -> None:
    assert [len(piece) for _, piece in windows_of("x" * 2_500, 1_000)] == [1_000, 1_000, 500]
    assert list(windows_of("  \n ")) == []


def test_a_rare_word_counts_more_than_common_ones() -> None:
    texts = ["the rules of the house"] * 20 + ["the crocodile of the house"]
    assert choose(texts, "the crocodile", room=16) == [20]


def test_what_is_far_behind_is_left_out() -> None:
    texts = ["the rules of the house"] * 20 + ["the crocodile of the house"]
    assert choose(texts, "the crocodile") == [20]


def test_nothing_without_a_word_of_the_question() -> None:
    assert choose(["cats", "dogs"], "crocodile") == []


def test_beginnings_of_words_are_found_as_by_the_index() -> None:
    assert choose(["Crocodiles wait.", "A kroko."], "crocodile") == [0]


def test_scripts_without_spaces() -> None:
    assert choose(["鳄鱼在河里等待", "猫在家里"], "鳄鱼") == [0]


def test_room_is_kept_and_a_shorter_one_may_follow_a_longer_one() -> None:
    texts = ["crocodile " * 100, "crocodile one"]
    assert choose(texts, "crocodile", room=60) == [1]


def test_the_name_of_a_file_counts_beside_its_text() -> None:
    texts = ["days of leave: 30", "days of leave: 25"]
    assert choose(texts, "leave in the handbook", room=16, names=["old.txt", "handbook.txt"]) == [1]


def test_best_parts_are_those_with_the_rarest_words() -> None:
    flags = [[True, False], [True, True], [True, False], [False, False]]
    assert best_parts(flags, weights_of(flags), 2) == [1, 0]
