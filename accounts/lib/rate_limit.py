"""Rate limits with GCRA, the generic cell rate algorithm (ITU-T I.371, annex A).

A rate of "30/m" allows a burst of 30 and then one request every two seconds. Its only state is the theoretical arrival
time (TAT): when the next request would be due if all came evenly. A request that comes more than a whole period before
it is refused; the difference is `retry_after`.

One Redis script checks any number of limits and counts in all of them or in none, in one round trip and by Redis's
clock, so parallel callers are counted exactly. `Bucket` does the same within a process.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

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
  -- At most a period ahead, unless the clock was set back.
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
    """A burst of `count`, and from then on `count` in each `seconds`."""

    count: int
    seconds: float

    @property
    def interval(self) -> float:
        """Seconds between evenly spaced requests."""
        return self.seconds / self.count


@dataclass(frozen=True, slots=True)
class Limit:
    """A rate limit to check. `name` says what is counted and for whom ("messages:user:<id>"). A request counts as
    `count`; more than the whole rate at once count as the whole rate, so that they are possible at all.
    """

    name: str
    rate: Rate
    count: int = 1


@functools.lru_cache(maxsize=256)
def parse_rate(text: str) -> Rate | None:
    """The rate of a setting such as "30/m" or "120/10s", with units s, m, h, d. Raises `ValueError`.

    None for "off" and "0", which mean no limit.
    """
    if text in ("off", "0"):
        return None
    found = _SHAPE.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not a rate such as 30/m, 120/10s or off")
    return Rate(int(found["count"]), int(found["number"] or 1) * _SECONDS[found["unit"]])


def required_limits(*named: tuple[str, str]) -> list[Limit]:
    """The limits of (name, setting) pairs, without those that are "off" and those with an empty name."""
    parsed = ((name, parse_rate(text)) for name, text in named if name)
    return [Limit(name, rate) for name, rate in parsed if rate is not None]


def arguments(limits: Sequence[Limit]) -> list[Any]:
    """The arguments of `SCRIPT`: the number of keys, the keys, and the numbers in microseconds."""
    numbers: list[Any] = []
    for limit in limits:
        count = min(limit.count, limit.rate.count)
        numbers += (f"{limit.rate.interval * count * 1e6:.3f}", f"{limit.rate.seconds * 1e6:.0f}")
    return [len(limits), *(f"rate:{limit.name}" for limit in limits), *numbers]


def try_acquire(limits: Sequence[Limit]) -> float:
    """Counts one request in each of the limits, from a thread. Returns 0, or the seconds to wait if one refuses.

    A refused request counts in none of them. While Redis is unavailable, returns 0.
    """
    if not limits:
        return 0.0
    try:
        reply = SCRIPT.run(sync_redis(), *arguments(limits))
    except redis.RedisError as error:
        logger.warning("rate_limit_not_checked", error=type(error).__name__)
        return 0.0
    return float(reply[0]) / 1e6


class Bucket:
    """A rate limit within a process. `now` is the time of any monotonic clock in seconds."""

    __slots__ = ("_rate", "_tat")

    def __init__(self, rate: Rate | None) -> None:
        self._rate = rate
        self._tat = float("-inf")

    def try_acquire(self, now: float, count: int = 1) -> float:
        """Counts `count` requests and returns 0, or returns the seconds to wait without counting them.

        More than the whole rate at once count as the whole rate, so that they are possible at all.
        """
        rate = self._rate
        if rate is None:
            return 0.0
        due = max(self._tat, now) + rate.interval * min(count, rate.count)
        early = due - rate.seconds - now
        if early > 1e-9:
            return early
        self._tat = due
        return 0.0


View = TypeVar("View", bound=Callable[..., Any])


def own_rate(view: View) -> View:
    """Marks a view that counts its requests itself (`config.web.rates` then does not)."""
    view.own_rate = True  # type: ignore[attr-defined]  # a function may have attributes
    return view


def rated(setting: str) -> Callable[[View], View]:
    """Marks a view whose requests count under a rate of their own, the one of this setting."""

    def mark(view: View) -> View:
        view.rate_setting = setting  # type: ignore[attr-defined]  # as above
        return view

    return mark


def counts_reads(view: View) -> View:
    """Marks a view whose GETs count as well, because they cost much (`config.web.rates`)."""
    view.counts_reads = True  # type: ignore[attr-defined]  # as above
    return view


def network_of(address: str) -> str:
    """The network to count an IP address under: the address, or its /64 for IPv6, which one client may own."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)


def is_this_machine(network: str) -> bool:
    """Whether a `network_of` is this machine's own: a proxy beside this server, or its own user."""
    return network.startswith("127.") or network in ("::/64", "")
