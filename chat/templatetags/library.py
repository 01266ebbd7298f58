"""Filters of the pages of presets and prompts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from django import template

register = template.Library()


@register.filter
def lookup(values: Mapping[str, str], key: str) -> str:
    """The value of a key; empty where there is none."""
    return values.get(key, "")


@register.filter
def joined(items: Iterable[object]) -> str:
    """The names of things, with commas between them."""
    return ", ".join(str(one) for one in items)
