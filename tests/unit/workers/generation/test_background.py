"""What a model says in the background, for a title or a summary, is kept apart from its thinking."""

from __future__ import annotations

from workers.generation.background import Said, separate


def test_thinking_without_an_opening_tag_is_no_part_of_a_title() -> None:
    assert separate(Said("A trip.\n</think>\n\nTrains to Rome", "")) == Said("Trains to Rome", "A trip.")


def test_everything_else_stays() -> None:
    for said in (Said("Trains to Rome", ""), Said("What is </think>?", ""), Said("A.\n</think>\n\nB", "Hm.")):
        assert separate(said) == said
