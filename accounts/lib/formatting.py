"""Formats numbers and times. In the admin, digits are grouped with narrow no-break spaces."""

from __future__ import annotations

from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal

from django.conf import settings
from django.utils import timezone
from django.utils.formats import date_format, number_format
from django.utils.translation import get_language_bidi, ngettext

from accounts.lib.names import isolate

NOTHING = "–"
NO_BREAK = "\u00a0"


def number(value: float | None) -> str:
    """A whole number below a million, else three digits with M, G or T."""
    if value is None:
        return NOTHING
    for size, name in ((1e12, "T"), (1e9, "G"), (1e6, "M")):
        if abs(value) >= size:
            return f"{value / size:.3g}\u202f{name}"
    return f"{value:,.0f}".replace(",", "\u202f")


def grouped(value: int | Decimal) -> str:
    """A whole number with its digits grouped as in the language of the page: 1,000 in English."""
    return number_format(value, use_l10n=True, force_grouping=True)


def milliseconds(value: int | None) -> str:
    """For example "1 200 ms"."""
    return NOTHING if value is None else f"{value:,}\u202fms".replace(",", "\u202f")


def one_digit(milliseconds: int) -> str:
    """Seconds with one digit, in the language of the page, rounded as browsers do (`oneDigit` in js/lib/texts.js).

    Django's `number_format` would cut the other digits off.
    """
    return number_format((Decimal(milliseconds) / 1000).quantize(Decimal("0.1"), ROUND_HALF_UP), 1)


def seconds(value: float) -> str:
    """In the largest unit of which there are at least two: 40 s, 12 min, 3 h, 5 d."""
    for size, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if value >= 2 * size:
            return f"{value / size:.0f}\u202f{name}"
    return f"{value:.0f}\u202fs"


def money(value: Decimal | None) -> str:
    """An amount with the currency: two decimal places, or four or six for small amounts."""
    if value is None:
        return NOTHING
    places = 2 if not value or abs(value) >= 1 else 4 if abs(value) >= Decimal("0.001") else 6
    return f"{value:,.{places}f}\u202f{settings.CURRENCY}".replace(",", "\u202f")


def moment(value: datetime) -> str:
    """The time in the site's time zone, with the date if it is not today."""
    local = timezone.localtime(value)
    return date_format(local, "H:i" if local.date() == timezone.localdate() else "d M H:i")


def clock(value: datetime, *, with_seconds: bool = True) -> str:
    """Date and time in the site's time zone, with the zone and no-break spaces: 2026-11-28 18:05:09 UTC."""
    local = timezone.localtime(value)
    return f"{local:%Y-%m-%d %H:%M:%S %Z}".replace(" ", NO_BREAK) if with_seconds else _to_the_minute(local)


def _to_the_minute(local: datetime) -> str:
    return f"{local:%Y-%m-%d %H:%M %Z}".replace(" ", NO_BREAK)


def amount(value: Decimal) -> str:
    """A number of any size without zeros at its end: 300, 0.0125."""
    whole, dot, part = f"{value:,f}".partition(".")
    part = part.rstrip("0")
    return whole.replace(",", "\u202f") + (dot + part if part else "")


def from_to(before: str, after: str, space: str = " ") -> str:
    """Two values with an arrow from the first to the second. In languages that run from right to left, the first is on
    the right and the arrow points left.
    """
    arrow = "←" if get_language_bidi() else "→"
    return f"{isolate(before)}{space}{arrow}{space}{isolate(after)}"


def file_size(size: float) -> str:
    """Bytes as limits count them, in units of 1,024: `820 bytes`, `12 kB`, `3.4 MB`. Must match js step-words.js."""
    if size < 1024:
        return ngettext("%(count)s byte", "%(count)s bytes", int(size)) % {"count": int(size)}
    for unit, name in ((2**30, "GB"), (2**20, "MB")):
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return f"{size / 1024:.0f} kB"
