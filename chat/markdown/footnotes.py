"""Footnotes: `[^name]` in the text, `[^name]: …` anywhere. They are numbered in the order of the references to them.

What nobody refers to is left out; a reference without a note stays text. The tokens are `footnote_ref`, and at the end
`footnotes_open`, `footnote_open`, `footnote_close` and `footnotes_close`. Must match js/markdown/footnotes.js.
"""

from __future__ import annotations

import re
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from markdown_it.utils import EnvType

MAX_REFERENCES: Final = 1_000  # of a text; further ones stay text

_NOTE: Final = re.compile(r"\[\^([^\s\]]{1,100})\]:[ \t]*")
_REFERENCE: Final = re.compile(r"\[\^([^\s\]]{1,100})\]")


def add_footnotes(parser: MarkdownIt) -> None:
    parser.block.ruler.before("reference", "footnote", _note, {"alt": ["paragraph", "reference"]})
    parser.inline.ruler.before("link", "footnote_ref", _reference)
    parser.core.ruler.after("inline", "footnotes", _collect)


def _names(env: EnvType) -> dict[str, int]:
    """The place of each note's first reference, from 1; 0 where there is none so far."""
    names: dict[str, int] = env.setdefault("footnotes", {})
    return names


def _note(state: StateBlock, start_line: int, end_line: int, silent: bool) -> bool:
    """A note at the outermost level: its first line, and what follows indented by four."""
    if state.is_code_block(start_line):
        return False
    begin = state.bMarks[start_line] + state.tShift[start_line]
    found = _NOTE.match(state.src, begin, state.eMarks[start_line])
    if not found:
        return False
    if silent:
        return True
    if state.level:
        return False
    _names(state.env).setdefault(found[1], 0)
    token = state.push("note_open", "", 1)
    token.info = found[1]
    kept = state.bMarks[start_line], state.tShift[start_line], state.sCount[start_line], state.parentType
    # As if the text began where its indentation does, so that what is indented by four belongs to it.
    state.bMarks[start_line], state.tShift[start_line], state.sCount[start_line] = found.end(), 0, state.blkIndent + 4
    state.blkIndent += 4
    state.parentType = "footnote"
    state.md.block.tokenize(state, start_line, end_line)
    state.blkIndent -= 4
    state.bMarks[start_line], state.tShift[start_line], state.sCount[start_line], state.parentType = kept
    token.map = [start_line, state.line]
    state.push("note_close", "", -1)
    return True


def _reference(state: StateInline, silent: bool) -> bool:
    found = _REFERENCE.match(state.src, state.pos, state.posMax)
    names = _names(state.env)
    if not found or found[1] not in names or state.env.get("references_left", MAX_REFERENCES) <= 0:
        return False
    if not silent:
        state.env["references_left"] = state.env.get("references_left", MAX_REFERENCES) - 1
        names[found[1]] = names[found[1]] or max(names.values()) + 1
        state.push("footnote_ref", "", 0).content = str(names[found[1]])
    state.pos = found.end()
    return True


def _collect(state: StateCore) -> None:
    """Moves the notes to the end, in order."""
    names = _names(state.env)
    if not names:
        return
    text: list[Token] = []
    notes: dict[str, list[Token]] = {}
    into = text
    for token in state.tokens:
        if token.type == "note_open":
            into = notes.setdefault(token.info, []) if token.info not in notes else []  # the first one counts
        elif token.type == "note_close":
            into = text
        else:
            into.append(token)
    state.tokens = text
    used = sorted((place, name) for name, place in names.items() if place)
    if not used:
        return
    state.tokens.append(Token("footnotes_open", "ol", 1, block=True))
    for _, name in used:
        state.tokens.append(Token("footnote_open", "li", 1, block=True))
        state.tokens.extend(notes.get(name, []))
        state.tokens.append(Token("footnote_close", "li", -1, block=True))
    state.tokens.append(Token("footnotes_close", "ol", -1, block=True))
