"""Limits how many WebSocket upgrades without a valid ticket one network may try (RATE_REFUSED_UPGRADES).

Counted in each web process, in memory: such an upgrade is to cost less than a question to Redis. Those with a valid
ticket do not count, so that everybody of an office may reconnect at once.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from django.conf import settings

from accounts.lib.rate_limit import Bucket, parse_rate

MOST_NETWORKS: Final = 10_000  # remembered; the one that was seen longest ago is forgotten first
LOG_SECONDS: Final = 60.0  # between two log lines about one network


@dataclass(slots=True)
class _Network:
    bucket: Bucket
    logged_at: float = field(default=float("-inf"))


class UpgradeLimit:
    """Times are of any monotonic clock, in seconds."""

    def __init__(self) -> None:
        self._networks: OrderedDict[str, _Network] = OrderedDict()

    def is_over(self, network: str, now: float) -> bool:
        """Whether this network has tried too often. If not, the upgrade counts until `forgive` is called for it."""
        return self._of(network).bucket.try_acquire(now) > 0

    def forgive(self, network: str) -> None:
        """The upgrade that was counted last had a valid ticket, or it is not the client's fault that it failed."""
        self._of(network).bucket.release()

    def shall_log(self, network: str, now: float) -> bool:
        """Whether a refusal by this limit is worth a log line: a flood is not to fill the log."""
        found = self._of(network)
        if now - found.logged_at < LOG_SECONDS:
            return False
        found.logged_at = now
        return True

    def _of(self, network: str) -> _Network:
        found = self._networks.get(network)
        if found is None:
            found = self._networks[network] = _Network(Bucket(parse_rate(settings.RATE_REFUSED_UPGRADES)))
            if len(self._networks) > MOST_NETWORKS:
                self._networks.popitem(last=False)
        else:
            self._networks.move_to_end(network)
        return found
