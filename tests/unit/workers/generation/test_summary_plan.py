"""Which messages a summary covers, and the requests that make it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from workers.generation.summary_plan import INSTRUCTION, KEPT, choose_end, is_full, make_part
from workers.providers.base import ChatTurn
from workers.providers.counting import ESTIMATE

paths = st.lists(st.tuples(st.sampled_from(["user", "assistant"]), st.integers(1, 400)), min_size=1, max_size=30)


def texts(path: list[tuple[str, int]]) -> list[tuple[str, str]]:
    return [(role, "word " * words) for role, words in path]


def test_four_fifths_of_the_window_is_full() -> None:
    assert is_full(102_400, 128_000, 123_904)
    assert not is_full(102_399, 128_000, 123_904)
    assert is_full(5530, 8192, 6144), "a small window, of which a quarter is for the answer"


@given(path=paths, budget=st.integers(200, 4000))
def test_the_last_question_is_never_summarised_and_what_is_kept_is_small_and_begins_with_a_question(
    path: list[tuple[str, int]], budget: int
) -> None:
    messages = texts(path)
    end = choose_end(messages, budget, ESTIMATE)
    assert 0 <= end < len(messages)
    if end:
        assert messages[end][0] == "user"
        questions = [index for index, (role, _) in enumerate(messages) if role == "user"]
        assert end <= questions[-1]
        kept = sum(ESTIMATE.text(text) for _, text in messages[end:])
        assert kept <= KEPT * budget or end == questions[-1]


@given(path=paths, budget=st.integers(600, 4000), summary=st.sampled_from(["", "They met."]))
def test_every_part_fits_and_all_of_them_cover_everything_once(
    path: list[tuple[str, int]], budget: int, summary: str
) -> None:
    messages, done = texts(path), 0
    while done < len(messages):
        part = make_part(messages, done, len(messages), summary, budget, ESTIMATE)
        assert (part.start, part.end > done) == (done, True)
        assert part.turns[0] == ChatTurn("system", INSTRUCTION)
        assert ESTIMATE.turns(part.turns) <= budget + 50
        assert part.turns[1].content.startswith("Summary of what came before:\nThey met.") == bool(summary)
        done = part.end


def test_the_end_of_a_message_that_is_too_long_is_left_out() -> None:
    part = make_part([("user", "word " * 5000)], 0, 1, "", 1000, ESTIMATE)
    assert part.turns[1].content.endswith(" […]")
    assert 400 < ESTIMATE.text(part.turns[1].content) < 600
