"""Which part of a partial is promised to stay."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from workers.asr.stabilizer import AGREEMENT_MS, Stabilizer


def stable(*partials: tuple[int, str]) -> str:
    stabilizer = Stabilizer()
    text = ""
    for now, text in partials:
        length = stabilizer.offer(text, now)
    return text[:length]


def test_a_word_is_stable_when_it_stood_for_600_ms() -> None:
    assert stable((0, "open")) == ""
    assert stable((0, "open"), (599, "open the")) == ""
    assert stable((0, "open"), (600, "open the")) == "open"
    assert stable((0, "open"), (300, "open the"), (900, "open the window")) == "open the"


def test_a_changed_word_starts_anew_with_all_after_it() -> None:
    assert stable((0, "open the door"), (400, "open a door"), (700, "open a door")) == "open"
    assert stable((0, "open the door"), (400, "open a door"), (1000, "open a door")) == "open a door"


def test_shorter_again() -> None:
    assert stable((0, "open the"), (700, "open")) == "open"
    assert stable((0, "open the"), (700, ""), (1400, "open")) == ""


def test_white_space_is_kept_as_it_is() -> None:
    assert stable((0, " open   the"), (600, " open   the window")) == " open   the"


WORDS = st.lists(st.sampled_from(["a", "b", "ab", "the"]), max_size=6).map(" ".join)


@given(st.lists(st.tuples(st.integers(0, 500), WORDS), min_size=1, max_size=12))
def test_what_is_stable_stood_in_every_partial_of_the_window(steps: list[tuple[int, str]]) -> None:
    stabilizer, now, seen = Stabilizer(), 0, []
    for wait, text in steps:
        now += wait
        length = stabilizer.offer(text, now)
        seen.append((now, text))
        promised = text[:length].split()
        assert text.split()[: len(promised)] == promised, "cut between words"
        for then, other in seen:
            if now - then < AGREEMENT_MS:
                assert other.split()[: len(promised)] == promised
