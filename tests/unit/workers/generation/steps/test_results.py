"""Results of calls as they are stored."""

from __future__ import annotations

import pytest

from workers.generation.steps.calls import MOST_FILE_BYTES, MOST_FILES, end_of
from workers.tools.base import MadeFile, ToolResult


@pytest.mark.parametrize(
    ("sizes", "kept"),
    [
        ([1] * (MOST_FILES + 2), MOST_FILES),
        ([MOST_FILE_BYTES // 2] * 3, 2),
        ([MOST_FILE_BYTES + 1, 5], 1),
        ([], 0),
    ],
    ids=["many", "large together", "one that is too large", "none"],
)
def test_files_of_a_call_are_bounded_together(sizes: list[int], kept: int) -> None:
    files = [MadeFile(f"{place}.txt", "text/plain", bytes(size)) for place, size in enumerate(sizes)]
    end = end_of(ToolResult("Made.", files=files), outside=False)
    assert len(end.files) == kept
    assert (f"{len(sizes) - kept} files were left out" in end.output) is (kept < len(sizes))
