"""Recognised lines become text in the order in which a person reads them."""

from __future__ import annotations

import pytest

from workers.files.recognition.engines import RAPID, engine_path, load_engine
from workers.files.recognition.lines import Line, text_of


def line(text: str, left: float, top: float, *, width: float = 200, score: float = 1.0) -> Line:
    return Line(text, left, top, left + width, top + 20, score)


def test_rows_from_top_to_bottom_and_from_left_to_right() -> None:
    found = [line("total", 10, 62), line("First row", 10, 10), line("42", 300, 58), line("Second row", 12, 34)]
    assert text_of(found) == "First row\nSecond row\ntotal 42"


def test_a_gap_is_a_blank_line() -> None:
    assert text_of([line("Heading", 10, 10), line("Far below", 10, 100)]) == "Heading\n\nFar below"


def test_what_the_recogniser_is_not_sure_of_is_left_out() -> None:
    assert text_of([line("Sure", 10, 10), line("l1|!", 10, 34, score=0.5), line("  ", 10, 60)]) == "Sure"
    assert text_of([]) == ""


def test_columns_of_prose_are_read_one_after_the_other() -> None:
    left = [line(f"left {at}", 10, 10 + at * 24) for at in range(5)]
    right = [line(f"right {at}", 260, 12 + at * 24) for at in range(5)]
    mixed = [one for pair in zip(right, left, strict=True) for one in pair]
    said = text_of(mixed)
    assert said.split() == [word for one in [*left, *right] for word in one.text.split()]
    assert "left 4\n\nright 0" in said


def test_a_table_is_read_by_rows() -> None:
    cells = [
        line(f"r{row}c{column}", 10 + column * 150, 10 + row * 24, width=80) for row in range(5) for column in (1, 0)
    ]
    assert text_of(cells).splitlines() == [f"r{row}c0 r{row}c1" for row in range(5)]


def test_which_engine_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert engine_path("off") == ""
    assert engine_path("own.package.Engine") == "own.package.Engine"
    there: set[str] = set()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name if name in there else None)
    assert engine_path("auto") == ""
    there |= {"rapidocr"}
    assert engine_path("auto") == "", "it needs both packages"
    there |= {"onnxruntime"}
    assert engine_path("auto") == RAPID
    with pytest.raises(ImportError):
        load_engine("no_such_package.Engine")
