"""The choice of a period on the pages of figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from django.http import HttpRequest

if TYPE_CHECKING:
    from django_stubs_ext import StrPromise


def choose_period(
    request: HttpRequest, periods: Mapping[str, StrPromise], usual: int, url: str
) -> tuple[int, list[tuple[str, str, bool]]]:
    """The days that the query's `days` chooses of `periods` (names by days), else `usual`; and the links to all periods
    of the page `url`: name, address, and whether it is the chosen one.
    """
    chosen = request.GET.get("days", "")
    days = int(chosen) if chosen in periods else usual
    return days, [(str(name), f"{url}?days={key}", int(key) == days) for key, name in periods.items()]
