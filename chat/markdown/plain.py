"""Text as HTML without formatting: what is shown while an answer has no HTML yet, and where it can have no other."""

from __future__ import annotations

import html
from typing import Final

NOTE: Final = "Formatting was left out because it would have taken too long."


def plain(text: str) -> str:
    """`text` escaped, with its line breaks (`.plain` in prose.css keeps them). An empty text gives ''."""
    return f'<div class="plain">{html.escape(text)}</div>' if text else ""


def plain_with_note(text: str) -> str:
    """`plain`, followed by a sentence for the reader that formatting was left out."""
    return f'{plain(text)}<p class="plain-note">{NOTE}</p>' if text else ""
