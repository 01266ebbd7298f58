"""The text that was read from a content, for the viewer."""

from __future__ import annotations

import uuid
from typing import Any, Final

from chat.models import FileText

PAGE_CHARACTERS: Final = 100_000  # of one answer, but for a part that is longer


def read_text(blob_id: uuid.UUID, after: int | None = None) -> dict[str, Any]:
    """The parts of a text after the one at the position `after`: `parts`, and `next` if there are more."""
    rows = FileText.objects.filter(blob=blob_id).order_by("position")
    if after is not None:
        rows = rows.filter(position__gt=after)
    parts: list[dict[str, str]] = []
    length, last = 0, None
    for position, label, text in rows.values_list("position", "label", "text").iterator(chunk_size=20):
        if parts and length + len(text) > PAGE_CHARACTERS:
            return {"parts": parts, "next": last}
        parts.append({"label": label, "text": text})
        length, last = length + len(text), position
    return {"parts": parts}
