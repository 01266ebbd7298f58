"""Texts with halves of characters (lone surrogates), which JSON can escape and UTF-8 does not have. No I/O."""

from __future__ import annotations

import re
from typing import Final

_PAIR: Final = re.compile("[\ud800-\udbff][\udc00-\udfff]")  # two halves of one character
_HALF: Final = re.compile("[\ud800-\udfff]")


def encode(text: str) -> bytes:
    """UTF-8, in which each lone surrogate is U+FFFD, as browsers encode it."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        # By expressions: a codec's error handler takes 20 ms for a whole frame, on the loop that everybody shares.
        if _PAIR.search(text):
            text = _PAIR.sub(lambda found: found[0].encode("utf-16-le", "surrogatepass").decode("utf-16-le"), text)
        return _HALF.sub("\ufffd", text).encode()
