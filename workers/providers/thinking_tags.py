"""Separates what a model thinks from what it answers, where both come as one text with tags around the thinking.

Recognised are `<think>`, `<thought>`, `[THINK]` and others (`TAGS`) in any case, with their closing tags: at the
start of the answer or of a line, as models write them, not inside code, and wherever the text is cut into pieces.
Blanks around the thinking are left out. Pure: no I/O.
"""

from __future__ import annotations

import re
from typing import Final

from workers.providers.base import Chunk

# In lower case. Those of Qwen, DeepSeek and others, Gemini's compatible API, Seed, Mistral, Kimi, and gpt-oss, whose
# server should have read them.
TAGS: Final = {
    **{f"<{name}>": f"</{name}>" for name in ("think", "thinking", "thought", "reasoning", "seed:think")},
    "[think]": "[/think]",
    "◁think▷": "◁/think▷",
    "<|channel|>analysis<|message|>": "<|end|><|start|>assistant<|channel|>final<|message|>",
}
INDENT: Final = 3  # blanks before a tag; more is indented code (CommonMark 0.31 §4.4)

_FENCE: Final = re.compile(r"(?:[ \t>]|[-*+][ \t]|\d{1,9}[.)][ \t])*(?:(`{3,})[^`]*|(~{3,}).*)\Z")
_FENCE_END: Final = re.compile(r"[ \t>]*(`{3,}|~{3,})\s*\Z")
_TICKS: Final = re.compile("`+")


class ThinkingTags:
    """Reads the text of one answer, piece by piece."""

    def __init__(self) -> None:
        self.unclosed: str | None = None  # after `end`: the thinking behind a tag that was never closed
        self._held = ""  # may be the beginning of a tag, or blanks at the edge of the thinking
        self._closing = ""  # the tag that ends the thinking; empty outside of it
        self._block: list[str] = []  # of the thinking since the last opening tag
        self._thought = False  # there was thinking before
        self._answered = False  # there was text that is not blank
        self._skip = False  # blanks after a closing tag are left out
        self._line: list[str] = []  # the line so far
        self._fence = ""  # the marker of the code block that is open
        self._span = 0  # the backticks of the inline code that is open

    def feed(self, text: str) -> list[Chunk]:
        """The chunks of text and reasoning that are certain now."""
        self._held += text
        chunks: list[Chunk] = []
        while self._held and (self._read_thinking(chunks) if self._closing else self._read_answer(chunks)):
            pass
        return chunks

    def end(self) -> list[Chunk]:
        """The last chunks, at the end of the answer: what looked like the beginning of a tag was none."""
        held, self._held = self._held, ""
        chunks: list[Chunk] = []
        if self._closing:
            self._think(chunks, held.rstrip())
            self.unclosed = "".join(self._block)
        elif held and (not self._skip or held.strip()):
            chunks.append(Chunk(held))
        return chunks

    def _read_thinking(self, chunks: list[Chunk]) -> bool:
        """Whether there is more to read."""
        thinking, closing, rest = self._held.partition(self._closing)
        if closing:
            self._think(chunks, thinking.rstrip())
            self._thought = self._thought or bool(self._block)
            self._held, self._closing, self._block = rest, "", []
            self._skip, self._line = True, []
            return True
        certain = len(thinking) - _overlap(thinking, self._closing)
        certain = len(thinking[:certain].rstrip())
        self._think(chunks, thinking[:certain])
        self._held = thinking[certain:] if self._block else thinking[certain:].lstrip()
        return False

    def _think(self, chunks: list[Chunk], text: str) -> None:
        if not self._block:
            text = text.lstrip()
        if not text:
            return
        if self._thought and not self._block:
            chunks.append(Chunk(reasoning="\n\n"))
        self._block.append(text)
        chunks.append(Chunk(reasoning=text))

    def _read_answer(self, chunks: list[Chunk]) -> bool:
        """Whether there is more to read. Text goes on line by line: a tag can only be at the start of one."""
        if self._skip:
            self._held = self._held.lstrip()
            if not self._held:
                return False
        if not self._line and not self._fence and not self._span and (found := self._read_tag()) is not None:
            return found
        self._skip = False
        line, newline, rest = self._held.partition("\n")
        self._held = rest
        self._answered = self._answered or bool(line.strip())
        chunks.append(Chunk(line + newline))
        self._line.append(line)
        if newline:
            self._end_line("".join(self._line))
            self._line = []
        return bool(rest)

    def _read_tag(self) -> bool | None:
        """True after a tag, false while this may become one, None where it is none."""
        start = self._held.lstrip(" ") if self._answered else self._held.lstrip()
        if self._answered and len(self._held) - len(start) > INDENT:
            return None
        for opening, closing in TAGS.items():
            if start[: len(opening)].lower() == opening:
                found = start[0] + "/" + start[1 : len(opening)]  # in the letters of the opening tag
                self._closing = found if found.lower() == closing else closing
                self._held, self._block = start[len(opening) :], []
                return True
            if (
                not self._answered and start[: len(closing)].lower() == closing
            ):  # the prompt of some models ends with the opening tag
                self._held, self._skip = start[len(closing) :], True
                return True
        tags = (*TAGS, *TAGS.values()) if not self._answered else TAGS
        return False if any(tag.startswith(start.lower()) for tag in tags) else None

    def _end_line(self, line: str) -> None:
        """Notes whether the next line is inside code."""
        if self._fence:
            end = _FENCE_END.match(line)
            if end and end[1].startswith(self._fence):
                self._fence = ""
        elif fence := _FENCE.match(line):
            self._fence, self._span = fence[1] or fence[2], 0
        elif not line.strip():
            self._span = 0  # inline code ends with its paragraph
        else:
            for ticks in _TICKS.findall(line):
                self._span = 0 if len(ticks) == self._span else self._span or len(ticks)


def _overlap(text: str, tag: str) -> int:
    """How many characters at the end of `text` may be the beginning of `tag`."""
    return next((size for size in range(min(len(tag) - 1, len(text)), 0, -1) if text.endswith(tag[:size])), 0)
