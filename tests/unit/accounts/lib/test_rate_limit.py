"""Rates without Redis: how they are written, counted and told."""

from __future__ import annotations

import re
import uuid
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.lib.rate_limit import Bucket, Rate, arguments, network_of, parse_rate, required_limits
from chat.protocol.commands import MessageSend, RunStop, Typing
from chat.realtime.rate_limits import limits_of, rate_limited
from config.env import RATE_PATTERN

USER = uuid.UUID(int=1)


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("30/m", Rate(30, 60)),
        ("120/10s", Rate(120, 10)),
        ("1/d", Rate(1, 86400)),
        ("2/12h", Rate(2, 43200)),
        ("off", None),
        ("0", None),
    ],
)
def test_a_rate_is_read(text: str, rate: Rate | None) -> None:
    assert parse_rate(text) == rate
    assert re.match(RATE_PATTERN, text)


@pytest.mark.parametrize("text", ["", "30", "-1/m", "0/m", "1.5/s", "30/0s", "30/w", "30/m\n", "٣/m", "1/m/ip", "OFF"])
def test_garbage_is_refused_where_it_is_set_and_where_it_is_read(text: str) -> None:
    with pytest.raises(ValueError, match="is not a rate"):
        parse_rate(text)
    assert not re.match(RATE_PATTERN, text, re.ASCII)


def test_so_many_at_once_then_one_at_a_time() -> None:
    bucket = Bucket(Rate(3, 30))
    assert [bucket.try_acquire(100.0) for _ in range(4)] == [0, 0, 0, 10]
    assert bucket.try_acquire(109.9) == pytest.approx(0.1)
    assert bucket.try_acquire(110.0) == 0
    assert bucket.try_acquire(110.0) == pytest.approx(10)
    assert [bucket.try_acquire(200.0) for _ in range(4)] == [0, 0, 0, 10], "an hour of rest does not save up more"


def test_a_bucket_that_is_off_takes_everything() -> None:
    bucket = Bucket(None)
    assert not any(bucket.try_acquire(0) for _ in range(10_000))


@given(
    count=st.integers(1, 50),
    seconds=st.floats(0.5, 1000),
    pauses=st.lists(st.floats(0, 100), max_size=200),
)
def test_no_more_than_twice_the_count_in_any_period_and_waiting_helps(
    count: int, seconds: float, pauses: list[float]
) -> None:
    bucket, now, taken = Bucket(Rate(count, seconds)), 0.0, []
    for pause in pauses:
        now += pause
        if wait := bucket.try_acquire(now):
            assert 0 < wait <= seconds * (1 + 1e-9)  # floats
            now += wait * (1 + 1e-9) + 1e-6
            assert bucket.try_acquire(now) == 0, "whoever waited as long as told gets through"
        taken.append(now)
    for start in taken:
        assert sum(start <= moment < start + seconds for moment in taken) <= 2 * count


def test_a_wait_is_rounded_up() -> None:
    assert rate_limited(0.01).retry_after == 0.1
    assert rate_limited(1.91).retry_after == 2.0


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("x" * 500, "x" * 64),
    ],
)
def test_the_many_addresses_of_one_place_are_one(address: str, place: str) -> None:
    assert network_of(address) == place


def test_what_is_off_or_nobodys_is_not_counted() -> None:
    assert required_limits(("a", "off"), ("", "1/s"), ("b", "2/s")) == required_limits(("b", "2/s"))


def test_what_counts_several_times_takes_that_much_of_its_rate() -> None:
    [limit] = required_limits(("a", "30/m"))
    assert arguments([replace(limit, count=3)])[2:] == ["6000000.000", "60000000"]
    assert arguments([replace(limit, count=90)])[2:] == ["60000000.000", "60000000"]  # possible at all


def test_a_message_counts_for_session_user_and_place_but_a_stop_only_for_itself() -> None:
    send = MessageSend(conversation_id=None, client_id=uuid.uuid4(), text="x")
    names = [limit.name for limit in limits_of(send, USER, "s", "192.0.2.7")]
    assert names == ["commands:s", f"messages:user:{USER.hex}", "messages:address:192.0.2.7"]
    several = MessageSend(conversation_id=None, client_id=uuid.uuid4(), text="x", models=["a", "b", "c"])
    assert [limit.count for limit in limits_of(several, USER, "s", "192.0.2.7")] == [1, 3, 3]
    assert [limit.name for limit in limits_of(Typing(conversation_id=USER), USER, "s", "x")] == ["commands:s"]
    assert [limit.name for limit in limits_of(RunStop(run_id=USER), USER, "s", "x")] == ["stops:s"]
