"""Emphasis beside Chinese, Japanese and Korean text, which has no blanks around words.

CommonMark does not close bold text in `**重要：**请`: a mark of punctuation stands before the asterisks and a letter
after them. Here such a mark counts as a letter, and an East Asian character beside the asterisks as a blank, as
https://github.com/tats-u/markdown-cjk-friendly specifies it. Must match js/markdown/cjk.js.
"""

from __future__ import annotations

import re
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.common.utils import isMdAsciiPunct, isPunctChar, isWhiteSpace
from markdown_it.parser_inline import ParserInline
from markdown_it.rules_inline import StateInline
from markdown_it.rules_inline.state_inline import Scanned
from markdown_it.token import Token
from markdown_it.utils import EnvType

_CJK: Final = re.compile(
    "[\u1100-\u11ff\u2e80-\u312f\u3130-\u318f\u31a0-\u4dbf\u4e00-\u9fff\ua960-\ua97f"
    "\uac00-\ud7ff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef\U00020000-\U0003fffd]"
)


class _State(StateInline):
    def scanDelims(self, start: int, canSplitWord: bool) -> Scanned:  # noqa: N802, N803 -- the parser's own names
        """What a run of `*`, `_` or `~` may do: open, close, and its length."""
        scanned = super().scanDelims(start, canSplitWord)
        if not canSplitWord:  # underscores, which are rare beside these characters, keep CommonMark's rules
            return scanned
        before = self.src[start - 1] if start else " "
        end = start + scanned.length
        after = self.src[end] if end < self.posMax else " "
        return Scanned(_flanks(before, after), _flanks(after, before), scanned.length)


def _flanks(outside: str, inside: str) -> bool:
    """Whether a run between the two characters may open, or close, what `inside` belongs to."""
    if isWhiteSpace(ord(inside)):
        return False
    return not _is_punctuation(inside) or _is_boundary(outside)


def _is_boundary(character: str) -> bool:
    return isWhiteSpace(ord(character)) or _is_punctuation(character) or _CJK.match(character) is not None


def _is_punctuation(character: str) -> bool:
    """Of what is not East Asian."""
    return not _CJK.match(character) and (isMdAsciiPunct(ord(character)) or isPunctChar(character))


class _Inline(ParserInline):
    def parse(self, src: str, md: MarkdownIt, env: EnvType, tokens: list[Token]) -> list[Token]:
        state = _State(src, md, env, tokens)
        self.tokenize(state)
        for rule in self.ruler2.getRules(""):
            rule(state)
        return state.tokens


def add_cjk_emphasis(parser: MarkdownIt) -> None:
    """Makes `parser` read emphasis so. Its rules stay as they are."""
    inline = _Inline()
    inline.ruler, inline.ruler2 = parser.inline.ruler, parser.inline.ruler2
    parser.inline = inline
