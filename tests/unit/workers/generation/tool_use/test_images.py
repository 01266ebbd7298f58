"""Images in results: which ones a model is shown, and what it reads in place of the others."""

from __future__ import annotations

from dataclasses import replace

from chat.models import Step, ToolCall, ToolFile
from chat.runs.call_images import LARGEST_IMAGE, MOST_IMAGES, CallImages, choose_images
from tests.unit.workers.generation.tool_use.test_requests import result
from workers.generation.tool_use.requests import Round, result_of, turns_of
from workers.providers.base import ChatTurn, ToolImage
from workers.providers.counting import ESTIMATE
from workers.providers.token_estimate import IMAGE_TOKENS

PNG = ToolImage("image/png", b"x")


def step(number: int, *calls: list[ToolFile], status: str = "ok") -> Step:
    """A step with a call for each list of files."""
    made = Step(pk=number, number=number, kind="tool")
    rows = [ToolCall(step=made, place=place, status=status, name="look") for place in range(len(calls))]
    for row, files in zip(rows, calls, strict=True):
        row._prefetched_objects_cache = {"files": files}  # type: ignore[attr-defined]  # as `read_steps` reads them
    made._prefetched_objects_cache = {"calls": rows}  # type: ignore[attr-defined]
    return made


def file(size: int = 10, media_type: str = "image/png") -> ToolFile:
    return ToolFile(name="picture.png", media_type=media_type, size=size)


def test_the_images_of_the_last_calls_are_sent_first() -> None:
    old, new = [file() for _ in range(5)], [file() for _ in range(6)]
    steps = [step(2, old), step(4, [file(media_type="text/csv")], new)]
    chosen = choose_images(steps)
    assert list(chosen.files) == [one.pk for one in (*new, *old[: MOST_IMAGES - 6])]
    assert sorted(chosen.counts.values()) == [5, 6]


def test_large_ones_and_those_of_calls_without_a_result_are_left_out() -> None:
    fits = [file(LARGEST_IMAGE), file(LARGEST_IMAGE)]
    assert choose_images([step(2, [file(LARGEST_IMAGE + 1)])]).files == []
    assert list(choose_images([step(2, [*fits, file(600_000)])]).files) == [one.pk for one in fits], "10 MiB together"
    assert choose_images([step(2, fits, status="denied")]).counts == {}


def test_a_model_that_does_not_see_reads_how_many_there_are() -> None:
    chosen = choose_images([step(2, [file(), file()])], sees=False)
    assert (chosen.files, list(chosen.counts.values())) == ([], [2])
    [call] = step(2, []).calls.all()
    turn = result_of(call, (), CallImages((), 2)).turn(100)
    assert (turn.content, turn.images) == ("(The result has 2 images that you cannot be shown.)", ())


def test_images_count_and_the_oldest_go_where_the_window_is_too_small() -> None:
    rounds = [Round("", [replace(result("A map.", name), images=(PNG,))]) for name in "ab"]
    everything = turns_of(rounds, "", ESTIMATE.turn, 10_000)
    assert [len(turn.images) for turn in everything if turn.role == "tool"] == [1, 1]
    room = sum(map(ESTIMATE.turn, everything)) - 1
    less = [turn for turn in turns_of(rounds, "", ESTIMATE.turn, room) if turn.role == "tool"]
    assert [len(turn.images) for turn in less] == [0, 1]
    assert "an image that you cannot be shown" in less[0].content
    assert ESTIMATE.turn(ChatTurn("tool", "", images=(PNG,))) >= IMAGE_TOKENS
    none = [turn for turn in turns_of(rounds, "", ESTIMATE.turn, 0) if turn.role == "tool"]
    assert [len(turn.images) for turn in none] == [0, 0]
