"""Rates: how often somebody may do something. GCRA, the generic cell rate algorithm (ITU-T I.371, annex A).

A rate of "30/m" lets 30 come at once and then one every two seconds. All that is kept of it is one moment, the
theoretical arrival time (TAT): when the next one would be due if all came evenly. What comes more than a whole period
before it is early, and how early is `retry_after`.

In Redis one script looks at any number of rates and counts in all of them or in none, so parallel callers are counted
exactly, in one round trip and by Redis's clock. Within a process `Bucket` does the same without Redis.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import redis
import structlog

from accounts.lib.redis import Script, sync_redis

_SHAPE: Final = re.compile(r"(?P<count>[1-9]\d{0,8})/(?P<number>[1-9]\d{0,4})?(?P<unit>[smhd])", re.ASCII)
_SECONDS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


SCRIPT: Final = Script("""
local clock = redis.call('TIME')
local now, wait, which = clock[1] * 1000000 + clock[2], 0, 0
local due = {}
for i = 1, #KEYS do
  local interval, period = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  local tat = tonumber(redis.call('GET', KEYS[i]) or 0)
  -- Never more than a period ahead, unless the clock was put back.
  tat = math.min(math.max(tat, now), now + period)
  due[i] = tat + interval
  local early = due[i] - period - now
  if early > wait then wait, which = early, i end
end
if wait < 1 then
  for i = 1, #KEYS do
    redis.call('SET', KEYS[i], string.format('%.0f', due[i]), 'PX', math.ceil((due[i] - now) / 1000))
  end
  return {0, 0}
end
return {math.ceil(wait), which}
""")

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Rate:
    """`count` at once, and no more than `count` in each period of `seconds` from then on."""

    count: int
    seconds: float

    @property
    def interval(self) -> float:
        """Seconds between two when they come evenly."""
        return self.seconds / self.count


@dataclass(frozen=True, slots=True)
class Limit:
    """One thing to count: `name` says what and whose ("messages:user:<id>")."""

    name: str
    rate: Rate


@functools.lru_cache(maxsize=256)
def parse_rate(text: str) -> Rate | None:
    """A setting: "30/m", "120/10s", units s, m, h, d; "off" and "0" are None, no limit. Raises `ValueError`."""
    if text in ("off", "0"):
        return None
    found = _SHAPE.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not a rate such as 30/m, 120/10s or off")
    return Rate(int(found["count"]), int(found["number"] or 1) * _SECONDS[found["unit"]])


def required_limits(*named: tuple[str, str]) -> list[Limit]:
    """From (name, setting) pairs, without those that are switched off and those of nobody (an empty name)."""
    parsed = ((name, parse_rate(text)) for name, text in named if name)
    return [Limit(name, rate) for name, rate in parsed if rate is not None]


def arguments(limits: Sequence[Limit]) -> list[Any]:
    """What EVAL and EVALSHA take after the script: the number of keys, the keys, the numbers in microseconds."""
    numbers: list[Any] = []
    for limit in limits:
        numbers += (f"{limit.rate.interval * 1e6:.3f}", f"{limit.rate.seconds * 1e6:.0f}")
    return [len(limits), *(f"rate:{limit.name}" for limit in limits), *numbers]


def try_acquire(limits: Sequence[Limit]) -> float:
    """Counts one of each, for threads: 0, or the seconds to wait, when none was counted. 0 when Redis is away, too."""
    if not limits:
        return 0.0
    try:
        reply = SCRIPT.run(sync_redis(), *arguments(limits))
    except redis.RedisError as error:
        logger.warning("rates_not_counted", error=type(error).__name__)
        return 0.0
    return float(reply[0]) / 1e6


class Bucket:
    """One rate within a process. `now` is any monotonic clock, in seconds."""

    __slots__ = ("_rate", "_tat")

    def __init__(self, rate: Rate | None) -> None:
        self._rate = rate
        self._tat = float("-inf")

    def try_acquire(self, now: float) -> float:
        """Counts one: 0, or the seconds to wait, when it was not counted."""
        rate = self._rate
        if rate is None:
            return 0.0
        due = max(self._tat, now) + rate.interval
        early = due - rate.seconds - now
        if early > 1e-9:
            return early
        self._tat = due
        return 0.0


def network_of(address: str) -> str:
    """Whom an address stands for: itself, or its /64 where one person has that many of them (IPv6)."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
