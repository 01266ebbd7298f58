"""No file of code or tests is longer than 300 lines: what is longer has several subjects, and is divided by them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[3]
FOLDERS = ("accounts", "chat", "config", "deploy", "templates", "tests", "workers")
SUFFIXES = {".css", ".html", ".js", ".py", ".sh", ".txt"}
GENERATED = {"migrations", "vendor", "corpus"}  # and texts that others wrote
MOST = 300


def files() -> Iterator[Path]:
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            inside = path.relative_to(ROOT)
            if path.suffix in SUFFIXES and GENERATED.isdisjoint(inside.parts) and path.is_file():
                yield inside


def test_no_file_is_longer_than_300_lines() -> None:
    lengths = {path: len((ROOT / path).read_text().splitlines()) for path in files()}
    assert len(lengths) > 1_000, "they were not found"
    assert [f"{path}: {lines}" for path, lines in lengths.items() if lines > MOST] == []
