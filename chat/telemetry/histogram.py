"""A histogram for what happens per frame: without locks and labels. One thread observes, a scrape reads."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from itertools import accumulate

from prometheus_client.core import HistogramMetricFamily


class FrameHistogram:
    """Counts observed seconds by upper bound; the last count is of values above all bounds."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, values: Iterable[float]) -> None:
        """Adds values, in seconds."""
        bounds, counts = self.bounds, self.counts
        for value in values:
            counts[bisect_left(bounds, value)] += 1
            self.total += value

    def family(self, name: str, text: str) -> HistogramMetricFamily:
        """The metric for Prometheus, whose buckets are cumulative."""
        names = [*(str(float(bound)) for bound in self.bounds), "+Inf"]
        family = HistogramMetricFamily(name, text)
        family.add_metric([], list(zip(names, accumulate(self.counts), strict=True)), self.total)
        return family
