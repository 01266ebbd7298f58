"""A histogram for what happens per frame: no lock, no label, a batch at a time. One thread writes, a scrape reads."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from itertools import accumulate

from prometheus_client.core import HistogramMetricFamily


class Buckets:
    """Counts of seconds by upper bound; the last count is of all beyond."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, values: Iterable[float]) -> None:
        bounds, counts = self.bounds, self.counts
        for value in values:
            counts[bisect_left(bounds, value)] += 1
            self.total += value

    def family(self, name: str, text: str) -> HistogramMetricFamily:
        """As Prometheus reads it: each bucket holds those below it too."""
        names = [*(str(float(bound)) for bound in self.bounds), "+Inf"]
        family = HistogramMetricFamily(name, text)
        family.add_metric([], list(zip(names, accumulate(self.counts), strict=True)), self.total)
        return family
