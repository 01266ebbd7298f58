"""A stuck worker is told from an idle, a busy and a full one."""

from __future__ import annotations

from workers.runtime.liveness import Liveness


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def looks(*, waiting: int, full: bool = False, takes: bool = False) -> list[bool]:
    """A minute of looks, every five seconds."""
    clock = Clock()
    liveness = Liveness(30.0, clock)
    seen = []
    for _ in range(12):
        clock.now += 5
        if takes:
            liveness.note_job()
        seen.append(liveness.is_stuck(waiting, full=full))
    return seen


def test_taking_nothing_from_a_queue_that_is_not_empty() -> None:
    seen = looks(waiting=3)
    assert not any(seen[:7]), "stuck_seconds"
    assert all(seen[7:])


def test_nothing_waits() -> None:
    assert not any(looks(waiting=0))


def test_it_has_no_room() -> None:
    assert not any(looks(waiting=9, full=True))


def test_it_takes_what_comes() -> None:
    assert not any(looks(waiting=9, takes=True))


def test_a_queue_that_was_empty_a_moment_ago_starts_the_wait_anew() -> None:
    clock = Clock()
    liveness = Liveness(30.0, clock)
    for second in range(0, 300, 20):
        clock.now = float(second)
        assert not liveness.is_stuck(int(second % 40 == 0), full=False)
