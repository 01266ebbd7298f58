"""The history checker and members who come and go (I15)."""

from __future__ import annotations

import pytest

from tests.history import Period, find_violations
from tests.unit.tooling.test_history import CONVERSATION, good


@pytest.mark.parametrize(
    "periods",
    [[Period(30.1)], [Period(1.0, 27.5), Period(30.1)], [Period(1.0, 27.5)]],
    ids=["before the first", "between two", "after the last"],
)
def test_nobody_gets_anything_when_they_are_no_member(periods: list[Period]) -> None:
    story = good()  # Bob gets everything at 30.0
    story.viewers[1].periods[CONVERSATION] = periods
    found = find_violations(story.viewers, story.rows, story.snapshots)
    assert any(line.startswith("I15 bob") for line in found), found


@pytest.mark.parametrize("periods", [[Period(29.9)], [Period(1.0, 2.0), Period(29.9)], [Period(1.0, 28.5)]])
def test_what_was_before_is_shared_with_who_is_added(periods: list[Period]) -> None:
    story = good()
    story.viewers[1].periods[CONVERSATION] = periods
    assert find_violations(story.viewers, story.rows, story.snapshots) == []
