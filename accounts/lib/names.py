"""Names of people as others see them."""

from __future__ import annotations

import re
from typing import Final

from django.utils.translation import get_language_bidi

# Control characters; what changes the direction of the words around it (UAX 9: marks, embeddings, overrides, isolates);
# invisible characters with which two names look the same; and halves of characters. The two joiners stay: letters of
# several scripts, and emoji, are written with them.
_DECEPTIVE: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0e"
    "\ufeff\uffa0\ufff9-\ufffb\ud800-\udfff]"
)
_MARKS: Final = re.compile("([\u0300-\u036f]{3})[\u0300-\u036f]+")  # piled up, they cover the lines around
_RIGHT_TO_LEFT: Final = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff]")
_JOINERS: Final = "\u200c\u200d"


def isolate(text: str) -> str:
    """A name or another part of a line, so that it leaves the direction of the words around it alone: within Unicode's
    isolates, where it needs them. js/lib/names.js has the same.
    """
    return f"\u2068{text}\u2069" if get_language_bidi() or _RIGHT_TO_LEFT.search(text) else text


def shown_name(name: str) -> str:
    """The name without characters that could deceive readers, on one line. Empty if nothing is left to be seen."""
    if name.isascii() and name.isprintable():
        return " ".join(name.split())
    cleaned = " ".join(_MARKS.sub(r"\1", _DECEPTIVE.sub(" ", name)).split())
    return cleaned if cleaned.strip(_JOINERS + " ") else ""
