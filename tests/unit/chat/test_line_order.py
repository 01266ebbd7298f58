"""Where a new message goes in a waiting line."""

from __future__ import annotations

import uuid

import pytest

from chat.turns.line_order import GAP, fair_place, position_at

A, B, C = (uuid.UUID(int=number) for number in (1, 2, 3))

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("line", "author", "place"),
    [
        ([], A, 0),
        ([A], A, 1),
        ([A, A, A], B, 1),  # before the second of whoever asked three things
        ([A, B, A, A], B, 3),  # its second one before the third
        ([A, B], C, 2),
        ([A, B, A, B], C, 2),
        ([B, A, A, B], B, 4),  # behind its own, wherever these were moved
        ([A, A, B], B, 3),
    ],
)
def test_everybodys_first_comes_before_anybodys_second(line: list[uuid.UUID], author: uuid.UUID, place: int) -> None:
    assert fair_place(line, author) == place


def test_a_position_is_between_its_neighbours() -> None:
    assert position_at([], 0) == 0
    assert position_at([10], 0) == 10 - GAP
    assert position_at([10], 1) == 10 + GAP
    assert position_at([10, 20], 1) == 15
    assert position_at([10, 11], 1) is None
