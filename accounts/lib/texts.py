"""Sentences that are written as constants, and sentences that are stored in English."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable

from django.utils.translation import gettext

_PLACEHOLDER = re.compile(r"%\((\w+)\)s")


def gettext_noop(text: str) -> str:
    """The text itself, found by `manage.py translations`. Django's function of this name needs settings at import."""
    return text


def retold(sentence: str, sources: Iterable[str] = ()) -> str:
    """A sentence that is stored in English, in the language that is active.

    `sources` are the texts with placeholders (`%(name)s`) that it may have been made of, in the order in which they are
    tried. A sentence that is of none of them and in no catalogue stays as it is.
    """
    for source in sources:
        found = _pattern(source).fullmatch(sentence)
        if found:
            return gettext(source) % found.groupdict()
    return gettext(sentence) if sentence else ""


@functools.cache
def _pattern(source: str) -> re.Pattern[str]:
    """Matches a sentence that was made of `source`. Each placeholder is in it once."""
    pieces = _PLACEHOLDER.split(source.replace("%%", "%"))
    return re.compile(
        "".join(f"(?P<{piece}>.*)" if at % 2 else re.escape(piece) for at, piece in enumerate(pieces)), re.DOTALL
    )
