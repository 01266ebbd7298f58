"""How much of an answer rules hold back is measured."""

from __future__ import annotations

import pytest
from django.conf import LazySettings

from chat.moderation.matching.matcher import REACH, Action, Matcher, Rule
from chat.moderation.rules import RuleSet
from chat.telemetry import metrics
from workers.generation.screening import AnswerScreen

NAME = "antiphon_moderation_held_characters_sum"


@pytest.mark.parametrize(
    ("pieces", "held"), [(["short ", "words ", "and"], 3), (["a" * 40, "b" * 40], REACH), (["", ""], 0)]
)
def test_the_most_that_was_held_back_is_measured(settings: LazySettings, pieces: list[str], held: int) -> None:
    settings.METRICS = True
    screen = AnswerScreen(RuleSet(Matcher([Rule(0, Action.MASK, patterns=(r"secret \w+",))]), ()))
    before = metrics.registry.get_sample_value(NAME) or 0.0
    shown = "".join(screen.answer.feed(piece) for piece in pieces)
    shown += screen.answer.feed("", last=True)
    screen.complete()
    assert shown == "".join(pieces)
    measured = (metrics.registry.get_sample_value(NAME) or 0.0) - before
    assert measured == held
