"""Bounds and field types that several models share."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

if TYPE_CHECKING:
    from django_stubs_ext import StrPromise

MOST: Final = 10**12  # the largest amount that staff can enter
LONGEST_DAYS: Final = 36_500  # a hundred years
NANO: Final = Decimal("1e-9")
RANGE: Final = (MinValueValidator(0), MaxValueValidator(MOST))
MORE_THAN_NONE: Final = (MinValueValidator(NANO), MaxValueValidator(MOST))


def amount_field(name: StrPromise | None = None, **options: Any) -> models.DecimalField[Any, Any]:
    """A decimal that is exact to a billionth."""
    return models.DecimalField(name, max_digits=24, decimal_places=9, **options)


def days_field(name: StrPromise, most: int, *, least: int = 0, **options: Any) -> models.PositiveIntegerField[Any, Any]:
    """A number of days, or hours, from `least` to `most`."""
    return models.PositiveIntegerField(name, validators=(MinValueValidator(least), MaxValueValidator(most)), **options)
