"""Tables of figures in the admin, whose rows are cards on phones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django import template

register = template.Library()


@register.filter
def under(cells: Sequence[Any], heads: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
    """Each cell with the heading of its column. The first heading is that of the row's name, which is no cell."""
    return zip(cells, heads[1:], strict=False)
