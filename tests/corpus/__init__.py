"""Texts that tests share."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

_HEAD: Final = re.compile(r"^%%% (.+)\n", re.MULTILINE)


def markdown_snippets() -> dict[str, str]:
    """The Markdown texts of `markdown/*.md`, by file and name. A line `%%% name` begins each."""
    snippets: dict[str, str] = {}
    for path in sorted((Path(__file__).parent / "markdown").glob("*.md")):
        with path.open(encoding="utf-8", newline="") as file:
            _, *parts = _HEAD.split(file.read())
        for name, text in zip(parts[::2], parts[1::2], strict=True):
            assert f"{path.stem}: {name}" not in snippets, f"{path.stem}: {name} stands twice"
            snippets[f"{path.stem}: {name}"] = text.removesuffix("\n")
    return snippets
