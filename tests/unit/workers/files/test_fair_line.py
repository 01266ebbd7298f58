"""A user's many files hold up no other one's."""

from __future__ import annotations

import uuid

from workers.files.fair_line import FairLine


def test_each_user_has_one_turn_before_anybody_has_the_next() -> None:
    alice, bob = uuid.uuid4(), uuid.uuid4()
    hers, his, nobodys = [uuid.uuid4() for _ in range(200)], [uuid.uuid4() for _ in range(2)], uuid.uuid4()
    line = FairLine()
    for item in hers:
        line.add(alice, item)
    assert line.take() == hers[0]
    for item in his:
        line.add(bob, item)
    line.add(None, nobodys)
    taken = [line.take() for _ in range(202)]
    assert taken[:6] == [hers[1], his[0], nobodys, hers[2], his[1], hers[3]]
    assert taken[6:] == hers[4:]
    assert line.take() is None


def test_who_comes_back_is_last() -> None:
    alice, bob = uuid.uuid4(), uuid.uuid4()
    first, second, his = (uuid.uuid4() for _ in range(3))
    line = FairLine()
    line.add(alice, first)
    line.add(bob, his)
    assert line.take() == first
    line.add(alice, second)
    assert [line.take(), line.take(), line.take()] == [his, second, None]
