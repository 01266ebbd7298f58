"""How columns and facts of the admin's pages write dates and amounts: as everywhere, not as Django would."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from django.core.exceptions import FieldDoesNotExist
from django.db.models import DateTimeField, DecimalField, Field
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from accounts.lib.formatting import NO_BREAK, NOTHING, amount, clock

_columns: Final[dict[tuple[str, str, str], Callable[[Any], SafeString | str]]] = {}


def plain_column(page: Any, name: Any, order: str = "") -> Any:
    """What stands for a column of `page` (a ModelAdmin): a function where it is a date or an amount of the model, else
    `name`. `order` is the field by which the list may be sorted in this column.
    """
    if not isinstance(name, str) or hasattr(page, name):
        return name
    try:
        field = page.model._meta.get_field(name)  # noqa: SLF001  # Django documents it
    except FieldDoesNotExist:
        return name
    if not isinstance(field, DateTimeField | DecimalField):
        return name
    key = (page.model._meta.label, name, order)  # noqa: SLF001  # as above
    if key not in _columns:
        _columns[key] = _column(field, name, order)
    return _columns[key]


def _column(field: Field[Any, Any], name: str, order: str) -> Callable[[Any], SafeString | str]:
    def show(row: Any) -> SafeString | str:
        return shown_value(getattr(row, name))

    show.__name__ = name
    show.short_description = field.verbose_name  # type: ignore[attr-defined]  # as Django's `display` does
    if order:
        show.admin_order_field = order  # type: ignore[attr-defined]  # as above
    return show


def shown_value(value: Any) -> SafeString | str:
    """A date to the minute with its zone, an amount without zeros at its end, a dash for nothing."""
    if value is None:
        return NOTHING
    return amount(value) if isinstance(value, Decimal) else stamp(value, with_seconds=False)


def stamp(value: datetime | None, *, with_seconds: bool = True) -> SafeString | str:
    """A date for a column, which stays on one line; a dash for none."""
    if value is None:
        return NOTHING
    return format_html('<span class="staff-stamp">{}</span>', clock(value, with_seconds=with_seconds))


def two_line_stamp(value: datetime) -> SafeString:
    """As `stamp` to the second, with the date above the time: for lists with many columns."""
    day, _space, time = clock(value).partition(NO_BREAK)
    return format_html('<span class="staff-pair">{}<small>{}</small></span>', day, time)


def breakable(text: str, after: str) -> SafeString | str:
    """A code or an address that may go on in the next line after each `after`; a dash for none."""
    if not text:
        return NOTHING
    *parts, last = text.split(after)
    return format_html("{}{}", format_html_join("", "{}<wbr>", ((part + after,) for part in parts)), last)


class PlainDecimals:
    """For pages with a form: fields have amounts without zeros at their end, and never as `0E-9`."""

    def formfield_for_dbfield(self, db_field: Field[Any, Any], request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)  # type: ignore[misc]  # of what it is mixed into
        if isinstance(db_field, DecimalField) and field is not None:
            prepare = field.prepare_value
            field.prepare_value = lambda value: _without_zeros(prepare(value))
        return field


def _without_zeros(value: Any) -> Any:
    if not isinstance(value, Decimal):
        return value  # what somebody has typed
    whole, _dot, part = f"{value:f}".partition(".")
    return f"{whole}.{part}".rstrip("0").rstrip(".") if part else whole


def read_once(row: Any, name: str, read: Callable[[], Any]) -> Any:
    """What `read` returns, kept with the row: the theme's templates ask for each read-only field several times."""
    kept = row.__dict__.setdefault("_read_once", {})
    if name not in kept:
        kept[name] = read()
    return kept[name]
