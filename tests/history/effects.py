"""I14: what calls of tools did outside, as the server they went to counts it, against what PostgreSQL has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from tests.history.steps import ENDED


def check_effects(began: Iterable[str], happened: Iterable[str], calls: Mapping[str, dict[str, Any]]) -> list[str]:
    """What contradicts it, one sentence each.

    `began` and `happened` are the ids of calls (their idempotency keys), one for each request that the server got and
    for each effect there. `calls` are of a tool that asks each time, with `status`, `tries`, and `allows`: how often a
    person allowed the call.
    """
    asked, done = Counter(began), Counter(happened)
    found = [f"I14 the server got a call {one} that there is not" for one in asked.keys() - calls.keys()]
    for one, call in calls.items():
        if call["status"] not in ENDED:
            found.append(f"I14 call {one} has no result: it is {call['status']}")
        if done[one] > 1:
            found.append(f"I14 call {one} had its effect {done[one]} times")
        if asked[one] > call["allows"]:
            found.append(f"I14 call {one} was made {asked[one]} times, and allowed {call['allows']} times")
        if asked[one] > call["tries"]:
            found.append(f"I14 call {one} was made {asked[one]} times, and noted {call['tries']} times")
        if call["status"] == "ok" and not done[one]:
            found.append(f"I14 call {one} has a result, and nothing happened")
        if call["status"] == "denied" and done[one]:
            found.append(f"I14 call {one} was denied, and happened")
    return found
