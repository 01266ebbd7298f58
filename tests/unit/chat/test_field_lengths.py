"""Fields of the page take as much as the code does, so that nothing is refused that could be written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from chat.models.organising import MAX_FOLDER_INSTRUCTIONS, MAX_FOLDER_NAME, MAX_TAG_NAME

FILING = (Path(__file__).parents[3] / "templates/chat/filing.html").read_text()


@pytest.mark.parametrize(
    ("field", "most"),
    [("tags-name", MAX_TAG_NAME), ("folder-name", MAX_FOLDER_NAME), ("folder-instructions", MAX_FOLDER_INSTRUCTIONS)],
)
def test_the_sheets_of_folders_and_tags(field: str, most: int) -> None:
    found = re.search(rf'id="{field}"[^>]* maxlength="(\d+)"', FILING)
    assert found is not None
    assert int(found[1]) == most
