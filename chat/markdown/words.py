"""The words of a message as a reader sees them: no marks of Markdown, no tags. Pure."""

from __future__ import annotations

import html as entities
import re
from typing import Final

LONGEST_HTML: Final = 200_000  # characters that are read: what shows words shows a few of them
# Between what these enclose, a reader sees a gap; all others stand within a word.
_GAPS: Final = re.compile(
    r"</?(?:p|h[1-6]|li|ul|ol|div|pre|table|thead|tbody|tr|td|th|br|hr|blockquote|dl|dt|dd)\b", re.IGNORECASE
)
_NOTE: Final = re.compile(r'<p class="plain-note">.*?</p>', re.DOTALL)  # `chat.markdown.plain`: not the model's words
_TAG: Final = re.compile(r'<(?:[^<>"]|"[^"]*")*(?:>|$)')


def shown_words(text: str, html: str = "") -> str:
    """The words of a message on one line. `html`: as it is stored with an answer (`rendering`), which is sanitised;
    without it, as with what people write, the words are those of `text`, which is shown as it was written.
    """
    if not html:
        return " ".join(text.split())
    bare = _TAG.sub("", _GAPS.sub(r" \g<0>", _NOTE.sub("", html[:LONGEST_HTML])))
    return " ".join(entities.unescape(bare).split())
