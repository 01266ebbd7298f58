"""A model has the same colour on every page."""

from __future__ import annotations

from chat.dashboard.panels import SERIES, colour_places


def test_the_place_is_the_names_and_not_the_ranks() -> None:
    one, other = colour_places(["large", "small"]), colour_places(["small"])
    assert one.index("small") == other.index("small")
    assert colour_places(["small", "large"]) == one


def test_each_model_has_a_place_of_its_own() -> None:
    models = [f"model-{number}" for number in range(SERIES)]
    assert sorted(filter(None, colour_places(models))) == models
    assert len(colour_places([])) == SERIES
