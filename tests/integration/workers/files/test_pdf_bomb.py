"""A PDF that unpacks to more than the reading child may have: it ends at the limit of memory, and the file says why."""

from __future__ import annotations

from pathlib import Path

from tests import made_files as made
from workers.files.process import read_in_child


def test_a_page_that_unpacks_to_a_gibibyte(tmp_path: Path) -> None:
    content, folder = tmp_path / "content", tmp_path / "made"
    content.write_bytes(made.pdf_bomb())
    folder.mkdir()
    assert content.stat().st_size < 10_000
    found = read_in_child("pdf", "application/pdf", content, folder, memory_bytes=512 * 2**20)
    assert (found.readable, found.code) == (False, "too_much_memory")
