"""What a worker remembers of refusals: for a day, shared, and undone by staff."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from workers.providers.http.learned import Learned, Lesson
from workers.providers.model_facts import REMEMBERED, Facts, ModelFacts, name_parameters


def test_clients_of_one_endpoint_share_what_is_known() -> None:
    facts = ModelFacts()
    Learned(facts, "gpu:8000").add("m", Lesson("temperature"))
    assert Learned(facts, "gpu:8000").refuses("m", "temperature")
    assert not Learned(facts, "other").refuses("m", "temperature")
    assert facts.refused_parameters("gpu:8000", "m") == ["temperature"]


def test_it_is_forgotten_after_a_day() -> None:
    facts = ModelFacts()
    old = datetime.now(UTC) - REMEMBERED
    facts.load([Facts("e", "m", refused={"temperature": old, "stream": old + timedelta(minutes=5)})])
    assert not facts.refuses("e", "m", "temperature")
    assert facts.refuses("e", "m", "stream")
    assert facts.refused_parameters("e", "m") == []


def test_only_what_is_new_is_stored() -> None:
    facts = ModelFacts()
    facts.load([Facts("e", "m", refused={"stream": datetime.now(UTC)})])
    facts.note_refused("e", "m", "temperature")
    [changed] = facts.take_changed()
    assert set(changed.fresh) == {"temperature"}
    assert facts.take_changed() == []
    facts.note_refused("e", "m", "effort")
    facts.put_back([changed])
    [again] = facts.take_changed()
    assert set(again.fresh) == {"temperature", "effort"}


def test_what_staff_have_undone_is_tried_again() -> None:
    facts = ModelFacts()
    facts.note_refused("e", "m", "temperature")
    facts.take_changed()
    facts.load([Facts("e", "m")])
    assert not facts.refuses("e", "m", "temperature")
    facts.note_refused("e", "m", "temperature")
    facts.load([Facts("e", "m")])  # read before this was stored
    assert facts.refuses("e", "m", "temperature")


@pytest.mark.parametrize(
    ("refused", "names"),
    [
        ((), []),
        (("stream", "system", "prefill"), []),
        (("max_tokens",), []),  # max_completion_tokens is sent instead
        (("max_tokens", "max_completion_tokens"), ["max_tokens"]),
        (("answer_length",), ["max_tokens"]),
        (("num_predict", "think", "temperature"), ["temperature", "max_tokens", "effort"]),
        (("reasoning_effort:low", "thinkingLevel", "adaptive"), []),
        (("adaptive", "budget"), ["effort"]),
    ],
)
def test_the_parameters_that_are_left_out(refused: tuple[str, ...], names: list[str]) -> None:
    assert name_parameters(refused) == names
