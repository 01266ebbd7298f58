"""Numbers as staff's pages show them. Digits are grouped by thin spaces that do not break."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from django.conf import settings
from django.utils import timezone

NOTHING = "–"


def number(value: float | None) -> str:
    """Whole below a million, else in millions or more with three digits."""
    if value is None:
        return NOTHING
    for size, name in ((1e12, "T"), (1e9, "G"), (1e6, "M")):
        if abs(value) >= size:
            return f"{value / size:.3g}\u202f{name}"
    return f"{value:,.0f}".replace(",", "\u202f")


def milliseconds(value: int | None) -> str:
    return NOTHING if value is None else f"{value:,}\u202fms".replace(",", "\u202f")


def seconds(value: float) -> str:
    """The largest unit that makes sense: 40 s, 12 min, 3 h, 5 d."""
    for size, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if value >= 2 * size:
            return f"{value / size:.0f}\u202f{name}"
    return f"{value:.0f}\u202fs"


def money(value: Decimal | None) -> str:
    """Two places where that says something, else as many as the first digits need."""
    if value is None:
        return NOTHING
    places = 2 if not value or abs(value) >= 1 else 4 if abs(value) >= Decimal("0.001") else 6
    return f"{value:,.{places}f}\u202f{settings.CURRENCY}".replace(",", "\u202f")


def moment(value: datetime) -> str:
    """In the site's time zone, with the day where it is not today."""
    local = timezone.localtime(value)
    return f"{local:%H:%M}" if local.date() == timezone.localdate() else f"{local:%d %b %H:%M}"


def clock(value: datetime) -> str:
    """To the second, in the site's time zone, on one line."""
    return f"{timezone.localtime(value):%d %b %Y %H:%M:%S}".replace(" ", "\u00a0")
