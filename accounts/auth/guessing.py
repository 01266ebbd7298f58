"""Counts wrong passwords by account, over all networks, and locks the account against unknown networks for a while.

allauth counts by network (`ACCOUNT_RATE_LIMITS`), which guesses from many networks evade. Here every wrong password of
an account counts. From `FREE` on the account is locked, first for `FIRST_SECONDS` and twice as long after each further
wrong password, up to `LONGEST_SECONDS`. Attempts while it is locked are refused unread and do not prolong it. Networks
that the owner logged in from in the last `KNOWN_DAYS` are never locked out by it, and a new password ends it, so nobody
can lock the owner out for ever. Unknown addresses are counted alike, so that answers reveal nothing.

    guess:count:<hash of the address>   integer   wrong passwords, forgotten FORGET_SECONDS after the last one
    guess:lock:<hash of the address>    exists while the account is locked
    guess:known:<hash of the address>   sorted set  networks of the owner's log-ins, by when each is forgotten (s)
    guess:device:<hash of the address>  sorted set  hashes of browsers with their networks, likewise

All functions raise `redis.RedisError`.
"""

from __future__ import annotations

import hashlib
import time
from typing import Final

from accounts.lib.redis import Script, sync_redis

FREE: Final = 10
FIRST_SECONDS: Final = 30
LONGEST_SECONDS: Final = 900
FORGET_SECONDS: Final = 24 * 3600
KNOWN_DAYS: Final = 90
MOST_KNOWN: Final = 50  # networks of one account

_FAIL: Final = Script("""
local count = redis.call('INCR', KEYS[1])
redis.call('EXPIRE', KEYS[1], ARGV[1])
local over = count - tonumber(ARGV[2])
if over >= 0 then
  redis.call('SET', KEYS[2], 1, 'EX', math.min(tonumber(ARGV[4]), tonumber(ARGV[3]) * 2 ^ math.min(over, 20)))
end
return count
""")


def is_locked(email: str, place: str) -> bool:
    """Whether log-ins to this account from this network are refused at present."""
    name = _name(email)
    if not sync_redis().exists(f"guess:lock:{name}"):
        return False
    until = sync_redis().zscore(f"guess:known:{name}", place)
    return until is None or float(until) < time.time()


def count_failure(email: str) -> bool:
    """Counts a wrong password. Returns whether this one is the first that locks the account."""
    name = _name(email)
    keys = (f"guess:count:{name}", f"guess:lock:{name}")
    count = _FAIL.run(sync_redis(), 2, *keys, FORGET_SECONDS, FREE, FIRST_SECONDS, LONGEST_SECONDS)
    return int(count) == FREE


def remember_place(email: str, place: str) -> None:
    """The owner logged in from this network."""
    key, now = f"guess:known:{_name(email)}", time.time()
    pipe = sync_redis().pipeline(transaction=False)
    pipe.zadd(key, {place: now + KNOWN_DAYS * 86400})
    pipe.zremrangebyscore(key, "-inf", now)
    pipe.zremrangebyrank(key, 0, -MOST_KNOWN - 1)
    pipe.expire(key, KNOWN_DAYS * 86400)
    pipe.execute()


def is_new_device(email: str, place: str, device: str) -> bool:
    """Whether the owner logged in before, and never from this kind of browser in this network. Remembers it."""
    key, now = f"guess:device:{_name(email)}", time.time()
    one = hashlib.sha256(f"{place} {device}".encode()).hexdigest()[:32]
    pipe = sync_redis().pipeline(transaction=False)
    pipe.zremrangebyscore(key, "-inf", now)
    pipe.zcard(key)
    pipe.zadd(key, {one: now + KNOWN_DAYS * 86400})
    pipe.zremrangebyrank(key, 0, -MOST_KNOWN - 1)
    pipe.expire(key, KNOWN_DAYS * 86400)
    _forgotten, before, added, *_rest = pipe.execute()
    return bool(before and added)


def forget_failures(email: str) -> None:
    """Ends the lock: the owner has chosen a new password."""
    name = _name(email)
    sync_redis().delete(f"guess:count:{name}", f"guess:lock:{name}")


def _name(email: str) -> str:
    return hashlib.sha256(email.strip().lower().encode()).hexdigest()[:32]
