"""Pictures in results of tools become files of the call, so that people see them as they see files."""

from __future__ import annotations

from workers.generation.steps import calls
from workers.tools.base import MadeFile, Picture, ToolResult

PNG, JPEG = Picture("image/png", b"\x89PNG one"), Picture("image/jpeg", b"\xff\xd8\xff two")


def test_they_follow_the_files() -> None:
    result = ToolResult("Two.", files=[MadeFile("a.csv", "text/csv", b"a,b")], pictures=[PNG, JPEG])
    assert calls.end_of(result, outside=True).files == [
        ("a.csv", "text/csv", b"a,b"),
        ("picture-1.png", "image/png", PNG.content),
        ("picture-2.jpeg", "image/jpeg", JPEG.content),
    ]
    assert calls.end_of(ToolResult("One.", pictures=[PNG]), outside=True).files == [
        ("picture.png", "image/png", PNG.content)
    ]


def test_they_are_bounded() -> None:
    large = Picture("image/png", b"x" * (calls.MOST_PICTURE_BYTES // 2))
    assert len(calls.end_of(ToolResult("", pictures=[large] * 3), outside=True).files) == 2
    assert len(calls.end_of(ToolResult("", pictures=[PNG] * 20), outside=True).files) == calls.MOST_PICTURES
