"""What models cost, as the picker shows it: a class, or the price itself where staff allow it."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from decimal import Decimal
from typing import Final, NotRequired, TypedDict

from cachetools import TTLCache, cached
from django.conf import settings
from django.utils import timezone

from accounts.models import Price, User
from chat.catalog.offered_models import PublishedModel

CACHED_SECONDS: Final = 30.0
# Upper ends of the classes 1 and 2, for a million tokens of which three quarters are input.
CLASSES: Final = (Decimal(1), Decimal(5))
LIST_CURRENCY: Final = "USD"  # of the prices in endpoints' lists


class ShownPrice(TypedDict):
    """`level` is 0 (free) to 3; `input` and `output`, for a million tokens, are decimal numbers as text."""

    level: int
    input: NotRequired[str]
    output: NotRequired[str]
    currency: NotRequired[str]


class ShownPrices:
    """The prices that a user may see. Raises a database error when it is made."""

    def __init__(self, user: User) -> None:
        self._exact = settings.MODEL_PRICES == "exact" or user.has_perm("accounts.view_price")
        self._shown = self._exact or settings.MODEL_PRICES == "class"
        self._prices = _current_prices() if self._shown else ()

    def of(self, model: PublishedModel) -> ShownPrice | None:
        """The price of a model: the site's own, else what its endpoint's list says; None when nobody knows."""
        if not self._shown:
            return None
        own = find_price(self._prices, model["id"], model.get("host", ""))
        if own is not None:
            found, currency = (own.input_per_million, own.output_per_million), settings.CURRENCY
        elif "input_price" in model and "output_price" in model:
            found, currency = (Decimal(str(model["input_price"])), Decimal(str(model["output_price"]))), LIST_CURRENCY
        else:
            return None
        shown = ShownPrice(level=level_of(*found))
        if self._exact:
            shown["input"], shown["output"] = (f"{amount.normalize():f}" for amount in found)
            shown["currency"] = currency
        return shown


def level_of(input_price: Decimal, output_price: Decimal) -> int:
    """The class of a price for a million tokens: 0 is free, then 1 to 3."""
    if not input_price and not output_price:
        return 0
    mixed = (3 * input_price + output_price) / 4
    return 1 + sum(mixed >= end for end in CLASSES)


def find_price(prices: Iterable[Price], model: str, host: str) -> Price | None:
    """The price that applies, as in the ledger: the model's own first, then the endpoint's own, then the newest."""
    fitting = [one for one in prices if one.model in ("", model) and one.endpoint in ("", host)]
    return max(fitting, key=lambda one: (one.model, one.endpoint, one.valid_from), default=None)


@cached(TTLCache(maxsize=1, ttl=CACHED_SECONDS), condition=threading.Condition())
def _current_prices() -> tuple[Price, ...]:
    """The prices in force. Of each model and endpoint the newest."""
    rows = Price.objects.filter(valid_from__lte=timezone.now()).order_by("model", "endpoint", "-valid_from")
    return tuple(rows.distinct("model", "endpoint"))


def clear_prices_cache() -> None:
    """Makes the next reader of this process query the database."""
    _current_prices.cache_clear()
