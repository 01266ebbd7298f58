"""The Markdown of answers: CommonMark, tables, strikethrough, bare addresses, tasks, footnotes and formulas.

What differs from CommonMark: a line break stays one, `<br>` is one too, emphasis works beside East Asian characters,
and no HTML passes. The page has the same rules for answers in progress (js/markdown/), with the same parser in
JavaScript; a corpus of texts that runs through both (tests/e2e/test_markdown.py) keeps them level.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererProtocol
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

from chat.markdown.cjk import add_cjk_emphasis
from chat.markdown.footnotes import add_footnotes
from chat.markdown.formulas import add_formulas
from chat.markdown.limits import MAX_NESTING, check_blocks

_BREAK: Final = re.compile(r"<br[ \t]*/?>[ \t]*", re.IGNORECASE)
_TASK: Final = re.compile(r"\[([ xX])\][ \t]+")
_ALIGN: Final = re.compile(r"text-align:(left|center|right)")
# Where a bare address ends: at these already, and at Chinese and Japanese punctuation.
_SEPARATORS: Final = ("[><\uff5c]", "[><\uff5c、。，；：！？「」『』（）【】《》〈〉“”‘’]")
_TEXTS: Final = ("paragraph_open", "heading_open")
_MANY: Final = 200  # parts of a block that is too large for `dir="auto"`; see `_directions`
# Hebrew, Arabic and the other scripts that are written from right to left.
_RIGHT_TO_LEFT: Final = re.compile(
    "[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U0001e800-\U0001efff]"
)
_BOXES: Final = ("bullet_list_open", "ordered_list_open", "blockquote_open", "table_open", "footnotes_open")


def build_parser(renderer: Callable[[MarkdownIt], RendererProtocol]) -> MarkdownIt:
    """A parser of the dialect. Its parsing raises `TooCostlyError` for texts beyond the limits."""
    options = {"html": False, "linkify": True, "breaks": True, "maxNesting": MAX_NESTING}
    parser = MarkdownIt("commonmark", options, renderer_cls=renderer)
    parser.enable(["table", "strikethrough", "linkify"])
    if parser.linkify:
        # Only what is written as an address becomes one: `main.py` is a file, not a site in Paraguay.
        parser.linkify.set({"fuzzy_link": False, "fuzzy_email": False})
        parser.linkify.re["src_path"] = parser.linkify.re["src_path"].replace(*_SEPARATORS)
        parser.linkify.re["src_auth"] = ""  # `https://bank.example@evil.example` is none
    add_cjk_emphasis(parser)
    add_formulas(parser)
    add_footnotes(parser)
    parser.inline.ruler.before("autolink", "break", _read_break)
    parser.core.ruler.after("block", "limits", lambda state: check_blocks(state.tokens))
    parser.core.ruler.push("own_attributes", _give_attributes)
    return parser


def _read_break(state: StateInline, silent: bool) -> bool:
    """`<br>`, which answers use in the cells of tables."""
    found = _BREAK.match(state.src, state.pos, state.posMax)
    if not found:
        return False
    if not silent:
        state.push("hardbreak", "br", 0)
    state.pos = found.end()
    return True


def _give_attributes(state: StateCore) -> None:
    """Directions, table alignment as a class (styles are not allowed), and tasks as signs that are read aloud."""
    directions = _directions(state.tokens)
    for index, token in enumerate(state.tokens):
        if token.type in _BOXES or (token.type in _TEXTS and token.level == 0):
            token.attrs["dir"] = directions[index]
        if token.type == "footnotes_open":
            token.attrs["class"] = "footnotes"
        elif token.type in ("th_open", "td_open"):
            align = _ALIGN.search(str(token.attrs.pop("style", "")))
            if align:
                token.attrs["class"] = f"align-{align.group(1)}"
        elif token.type == "inline":
            if index >= 2 and state.tokens[index - 2].type == "list_item_open":
                _mark_task(state.tokens[index - 2], token)
            _mark_linked_images(token.children or [])


def _directions(tokens: list[Token]) -> list[str]:
    """For each token the `dir` of a block that begins there: of its first letter, which browsers find (`auto`). They
    look for it anew with each part that a block gets, so thousands of short pieces of code in one paragraph would stop
    the page of everybody who reads it for a minute: in a block of many parts the letter is found here.
    """
    found = ["auto"] * len(tokens)
    ends: list[tuple[int, str]] = []  # of the blocks around: parts behind its end, and the next letter there
    parts, letter = 0, ""
    for index in range(len(tokens) - 1, -1, -1):
        token = tokens[index]
        parts += 1 + len(token.children or ())
        letter = _first_direction(token) or letter
        if token.nesting < 0:
            ends.append((parts, letter))
            letter = ""
        elif token.nesting > 0:
            before, after = ends.pop()
            if parts - before > _MANY:
                found[index] = letter or "ltr"
            letter = letter or after
    return found


def _first_direction(token: Token) -> str:
    """Of the first letter in a text; empty if there is none."""
    if token.children:
        return next(filter(None, map(_first_direction, token.children)), "")
    letter = next(filter(str.isalpha, token.content), "") if token.type == "text" else ""
    return ("rtl" if _RIGHT_TO_LEFT.match(letter) else "ltr") if letter else ""


def _mark_task(item: Token, inline: Token) -> None:
    first = inline.children[0] if inline.children else None
    task = _TASK.match(first.content) if first and first.type == "text" else None
    if first and task:
        first.content = ("☐ " if task.group(1) == " " else "☑ ") + first.content[task.end() :]
        item.attrs["class"] = "task-item"


def _mark_linked_images(children: list[Token]) -> None:
    """An image within a link is its words: a link cannot stand in another one."""
    depth = 0
    for token in children:
        depth += {"link_open": 1, "link_close": -1}.get(token.type, 0)
        if token.type == "image" and depth:
            token.meta = {"linked": True}
