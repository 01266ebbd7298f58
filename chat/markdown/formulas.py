"""Formulas in TeX: `$…$`, `$$…$$`, `\\(…\\)`, `\\[…\\]` and environments. They are found here and set by the page.

The tokens `math` and `math_block` have the TeX as content; `meta["display"]` says whether it stands on its own line.
Must match js/markdown/formula-rules.js.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline

MAX_CHARS: Final = 2_000  # of one formula; what is longer stays text
MAX_LINES: Final = 60

_BLOCK: Final = re.compile(
    r"\$\$|\\\[|\\begin\{((?:equation|align|aligned|alignat|gather|gathered|multline|split|cases|array|matrix"
    r"|[pbBvV]matrix|smallmatrix|eqnarray|CD)\*?)\}"
)
_AFTER: Final = re.compile(r"[.,;:]?[ \t]*")  # a formula's own punctuation
_ASCII_DIGITS: Final = "0123456789"
_NUMBERS: Final = re.compile(r"[0-9\s,;xX-]*")  # `\[1\]` is an escaped reference, `\[x\]` an escaped task
_WORD: Final = re.compile(r"\s[A-Za-z]{2,}")  # `$5 for one, 8$`: an amount and words


class _Found(NamedTuple):
    content: str
    end: int
    display: bool


def add_formulas(parser: MarkdownIt) -> None:
    parser.inline.ruler.before("escape", "math", _inline)
    parser.block.ruler.before(
        "blockquote", "math_block", _block, {"alt": ["paragraph", "reference", "blockquote", "list"]}
    )


def _inline(state: StateInline, silent: bool) -> bool:
    found = _find(state.src, state.pos, state.posMax)
    if found is None:
        return False
    if not silent:
        token = state.push("math", "", 0)
        token.content, token.meta = found.content, {"display": found.display}
    state.pos = found.end
    return True


def _find(text: str, start: int, maximum: int) -> _Found | None:
    """The formula that begins at `start`."""
    opening = text[start : start + 2]
    if opening == "$$":
        return _between(text, start, maximum, "$$")
    if opening == r"\(":
        return _between(text, start, maximum, r"\)")
    if opening == r"\[":
        found = _between(text, start, maximum, r"\]")
        return None if found is None or _NUMBERS.fullmatch(found.content) else found
    return _find_dollar(text, start, maximum) if opening[:1] == "$" else None


def _between(text: str, start: int, maximum: int, closing: str) -> _Found | None:
    end = text.find(closing, start + 2, min(maximum, start + 2 + MAX_CHARS))
    content = text[start + 2 : end].strip() if end > 0 else ""
    if not content or "`" in content or content.startswith("$"):
        return None
    return _Found(content, end + 2, closing != r"\)")


def _find_dollar(text: str, start: int, maximum: int) -> _Found | None:
    """`$…$`: no blank inside of the dollars, no digit after them, so that `$5 and $10` stays money."""
    before = text[start - 1 : start]
    if before == "$" or (before.isascii() and before.isalnum()):
        return None
    limit = min(maximum, start + 1 + MAX_CHARS)
    end = start + 1
    while end < limit and text[end] != "$":
        end += 2 if text[end] == "\\" else 1
    if end >= limit:
        return None
    content, after = text[start + 1 : end], text[end + 1 : end + 2] if end + 1 < maximum else ""
    if not content or content[0].isspace() or content[-1].isspace() or "`" in content:
        return None
    if after and (after in _ASCII_DIGITS or after == "$"):
        return None
    if after.isascii() and after.isalpha() and not _is_marked(content):
        return None  # `$HOME/$USER`
    if content[0] in _ASCII_DIGITS and "\\" not in content and _WORD.search(content):
        return None
    return _Found(content, end + 1, display=False)


def _is_marked(content: str) -> bool:
    return len(content) == 1 or any(mark in content for mark in "\\^_{}=+")


def _block(state: StateBlock, start_line: int, end_line: int, silent: bool) -> bool:
    """A formula that begins a line and ends one. Without its end, or with an empty line in it, it is a paragraph."""
    if state.is_code_block(start_line):
        return False
    first = _line(state, start_line)
    opening = _BLOCK.match(first)
    if not opening:
        return False
    environment = opening.group(1)
    closing = rf"\end{{{environment}}}" if environment else {"$$": "$$", r"\[": r"\]"}[opening.group()]
    lines: list[str] = []
    for number in range(start_line, min(end_line, start_line + MAX_LINES)):
        line = first[opening.end() :] if number == start_line else _line(state, number)
        if number > start_line and (not line.strip() or state.sCount[number] < state.blkIndent):
            return False
        at = line.find(closing)
        if at < 0:
            lines.append(line)
            continue
        rest = line[at + len(closing) :]
        content = "\n".join([*lines, line[:at]])
        if not _AFTER.fullmatch(rest) or len(content) > MAX_CHARS or not content.strip():
            return False
        if opening.group() == r"\[" and _NUMBERS.fullmatch(content):
            return False
        if not silent:
            token = state.push("math_block", "", 0)
            whole = f"{opening.group()}{content}{closing}" if environment else content
            token.content, token.map = (whole.strip() + rest.strip()), [start_line, number + 1]
            token.meta = {"display": True}
            state.line = number + 1
        return True
    return False


def _line(state: StateBlock, number: int) -> str:
    return state.src[state.bMarks[number] + state.tShift[number] : state.eMarks[number]]
