"""Models that only some groups may use."""

from __future__ import annotations

from typing import Any

from chat.catalog import offered_models
from chat.catalog.access import clear_rules_cache
from chat.catalog.presets import clear_presets_cache
from chat.catalog.prices import clear_prices_cache
from chat.models import KnownModel, RunStatus
from chat.runs.claims import claim
from chat.runs.ending import Ending, end_run
from chat.turns.accepted import Accepted
from tests.fixtures.offered_models import forget_models

SECRET = "secret"  # a model of a group


def publish(*models: dict[str, Any]) -> None:
    offered_models.publish_models(list(models))  # type: ignore[arg-type]  # test data
    forget_models()


def forget() -> None:
    for clear in (forget_models, clear_rules_cache, clear_presets_cache, clear_prices_cache):
        clear()


def decide(name: str, **values: Any) -> KnownModel:
    known, _ = KnownModel.objects.update_or_create(name=name, defaults=values)
    clear_rules_cache()
    return known


def end(accepted: Accepted, status: RunStatus = RunStatus.DONE) -> Accepted:
    assert claim(accepted.run_id, "w") is not None
    end_run(accepted.run_id, 1, status, Ending("Well."))
    return accepted
