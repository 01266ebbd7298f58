"""Which of the models that an endpoint lists are offered, and under which labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence, Set
from typing import Final

from chat.catalog.model_names import last_part
from chat.catalog.offered_models import PublishedModel
from workers.providers.base import ListedModel
from workers.providers.config import Definition

HIDDEN_BY_STAFF: Final = "hidden by staff"


def select_offered(listed: Sequence[ListedModel], definition: Definition) -> list[ListedModel]:
    """The models for chatting. What staff decided for a model counts more than what its endpoint or its name says."""
    return [model for model in listed if not hidden_reason(model, definition.shown, definition.hidden)]


def hidden_reason(model: ListedModel, shown: Set[str], hidden: Set[str]) -> str:
    """Why a listed model is not offered; empty: it is. `shown` and `hidden` are what staff decided."""
    if model.id in hidden:
        return HIDDEN_BY_STAFF
    return "" if model.id in shown else model.hidden


def make_labels(models: Sequence[ListedModel]) -> list[str]:
    """A label for each model: the last part of its name without a file's extension; the name where two would agree."""
    labels = [last_part(model.id) for model in models]
    count = Counter(labels)
    return [label if count[label] == 1 else model.id for label, model in zip(labels, models, strict=True)]


def offered(model: ListedModel, label: str) -> PublishedModel:
    """A model as it is published, with what is known of it."""
    found = PublishedModel(id=model.id, label=label)
    if model.window is not None:
        found["window"] = model.window
    if model.sees is not None:
        found["sees"] = model.sees
    if model.tools is not None:
        found["tools"] = model.tools
    if model.thinks is not None:
        found["thinks"] = model.thinks
    if model.input_price is not None and model.output_price is not None:
        found["input_price"], found["output_price"] = model.input_price, model.output_price
    return found
