"""The periods that the dashboard offers, cut into the steps of its charts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext_lazy as _

from accounts.lib.formatting import moment

if TYPE_CHECKING:
    from django_stubs_ext import StrPromise

HOUR, DAY = 3600, 86400


@dataclass(frozen=True, slots=True)
class ChartPeriod:
    """A time until now, in `count` steps of `step` seconds; usage in steps of `usage_step` seconds.

    Steps begin at multiples of their length since 1970 (UTC). The last one is still going on.
    """

    key: str
    title: StrPromise
    heading: StrPromise
    count: int
    step: int
    usage_step: int

    def since(self, now: datetime, step: int | None = None) -> datetime:
        """When the first step begins."""
        step = step or self.step
        first = int(now.timestamp()) // step * step - (self.count * self.step // step - 1) * step
        return datetime.fromtimestamp(first, UTC)

    def steps(self, step: int) -> list[int]:
        """When each step of `step` seconds begins, in seconds since 1970."""
        first = int(self.since(timezone.now(), step).timestamp())
        return [first + place * step for place in range(self.count * self.step // step)]


PERIODS: Final = {
    one.key: one
    for one in (
        ChartPeriod("1h", _("1 hour"), _("Last hour"), 12, HOUR // 12, HOUR // 12),
        ChartPeriod("24h", _("24 hours"), _("Last 24 hours"), 24, HOUR, HOUR),
        ChartPeriod("7d", _("7 days"), _("Last 7 days"), 28, DAY // 4, DAY),
        ChartPeriod("30d", _("30 days"), _("Last 30 days"), 30, DAY, DAY),
    )
}


def step_label(begin: int, length: int) -> str:
    """A step's day (UTC) where it is a day long, else the moment it begins."""
    at = datetime.fromtimestamp(begin, UTC)
    return date_format(at, "d M") if length == DAY else moment(at)
