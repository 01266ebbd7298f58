"""What the picker shows a user: their models with marks and prices, their favourites, and what they used last."""

from __future__ import annotations

import uuid
from typing import Any, Final

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.models import User
from chat.catalog.access import models_of
from chat.catalog.offered_models import PublishedModel
from chat.catalog.prices import ShownPrices
from chat.models import FavouriteModel, ModelChoice, Run
from chat.protocol.errors import Invalid

RECENT: Final = 5  # recently used models that are shown
RECENT_RUNS: Final = 60  # of a user's runs in which they are looked for
MAX_FAVOURITES: Final = 100
_MARKS: Final = ("window", "sees", "thinks", "tools", "refuses")


def picker_entries(user: User) -> dict[str, Any]:
    """The list for the page: `models`, the user's default first; `favourites` and `recent` are ids. Four queries."""
    prices = ShownPrices(user)
    models = models_of(user.pk)
    names = {model["id"] for model in models}
    starred = FavouriteModel.objects.filter(user=user).order_by("created_at").values_list("model", flat=True)
    used = Run.objects.filter(requested_by=user).order_by("-created_at").values_list("model", flat=True)
    recent = [name for name in dict.fromkeys(used[:RECENT_RUNS]) if name in names]
    return {
        "models": [_entry(model, prices) for model in models],
        "favourites": [name for name in starred if name in names],
        "recent": recent[:RECENT],
    }


def first_choice(user_id: uuid.UUID, models: list[PublishedModel]) -> str:
    """What a new conversation starts with: the user's last choice, else their default; empty without any model."""
    last = ModelChoice.objects.filter(user_id=user_id).values_list("model", flat=True).first()
    names = [model["id"] for model in models]
    return last if last in names else (names[0] if names else "")


def remember_choice(user_id: uuid.UUID, model: str) -> None:
    """Stores the model that the user chose last. Raises `Invalid` for one that is not offered to them."""
    _check(user_id, model)
    ModelChoice.objects.update_or_create(user_id=user_id, defaults={"model": model})


def star(user_id: uuid.UUID, model: str, *, starred: bool) -> None:
    """Adds a model to the user's favourites, or takes it away. Raises `Invalid`."""
    if not starred:
        # PostgreSQL refuses to look for the character NUL.
        FavouriteModel.objects.filter(user_id=user_id, model=model[:200].replace("\x00", "")).delete()
        return
    _check(user_id, model)
    with transaction.atomic():
        User.objects.select_for_update(no_key=True).get(pk=user_id)  # so that two tabs together stay below the limit
        if FavouriteModel.objects.filter(user_id=user_id).exclude(model=model).count() >= MAX_FAVOURITES:
            raise Invalid(
                _("You can have at most %(max_favourites)s favourites. Remove one first.")
                % {"max_favourites": MAX_FAVOURITES}
            )
        FavouriteModel.objects.get_or_create(user_id=user_id, model=model)


def _check(user_id: uuid.UUID, model: str) -> None:
    if model not in [one["id"] for one in models_of(user_id)]:
        raise Invalid(_("This model is not available. Choose another one."))


def _entry(model: PublishedModel, prices: ShownPrices) -> dict[str, Any]:
    """A model as the page has it. What nobody knows is left out."""
    found: dict[str, Any] = {"id": model["id"], "label": model["label"], "endpoint": model.get("endpoint_name", "")}
    found |= {name: model[name] for name in _MARKS if model.get(name)}
    if model.get("tools") is False:
        found["tools"] = False  # of other marks, no is not shown
    if price := prices.of(model):
        found["price"] = price
    return found
