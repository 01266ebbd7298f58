"""Separates what a model thinks from what it answers, where both come as one text with tags around the thinking.

Recognised are `<think>`, `<thought>`, `[THINK]` and others (`TAGS`) in any case, with their closing tags: at the
start of the answer or of a line, as models write them, not inside code, and wherever the text is cut into pieces.
Blanks around the thinking are left out.

The chat templates of some models (DeepSeek R1, Qwen3 Thinking) put the opening tag into the prompt, so that an answer
has the closing one alone. `split_unopened` finds it in a whole answer, and `ThinkingTags.presume` has the next one read
as thinking from its beginning. Pure: no I/O.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from workers.providers.base import Chunk

# In lower case. Those of Qwen, DeepSeek and others, Gemini's compatible API, Seed, Mistral, Kimi, Command A,
# OpenThinker, Apertus, Gemma 4, and gpt-oss, whose server should have read them.
_FINAL: Final = "<|channel|>final<|message|>"
_TO_FINAL: Final = "<|end|><|start|>assistant" + _FINAL
TAGS: Final = {
    **{f"<{name}>": f"</{name}>" for name in ("think", "thinking", "thought", "reasoning", "seed:think")},
    "[think]": "[/think]",
    "◁think▷": "◁/think▷",
    "<|start_thinking|>": "<|end_thinking|>",
    "<|begin_of_thought|>": "<|end_of_thought|>",
    "<|inner_prefix|>": "<|inner_suffix|>",
    "<|channel>thought": "<channel|>",
    **{
        f"{start}<|channel|>{name}<|message|>": _TO_FINAL
        for start in ("", "<|start|>assistant")
        for name in ("analysis", "commentary")
    },
}
CLOSINGS: Final = (*dict.fromkeys(TAGS.values()), _FINAL, "<|start|>assistant" + _FINAL)
UNOPENED: Final = tuple(tag for tag in CLOSINGS if tag[1] == "/")  # those that may come without an opening tag
INDENT: Final = 3  # blanks before a tag; more is indented code (CommonMark 0.31 §4.4)

_FENCE: Final = re.compile(r"(?:[ \t>]|[-*+][ \t]|\d{1,9}[.)][ \t])*(?:(`{3,})[^`]*|(~{3,}).*)\Z")
_FENCE_END: Final = re.compile(r"[ \t>]*(`{3,}|~{3,})\s*\Z")
_TICKS: Final = re.compile("`+")


class _Code:
    """Which lines of a text are inside of Markdown code, line by line."""

    def __init__(self) -> None:
        self.fence = ""  # the marker of the code block that is open
        self.span = 0  # the backticks of the inline code that is open

    @property
    def is_open(self) -> bool:
        return bool(self.fence or self.span)

    def end_line(self, line: str) -> None:
        """Notes whether the next line is inside code."""
        if self.fence:
            end = _FENCE_END.match(line)
            if end and end[1].startswith(self.fence):
                self.fence = ""
        elif fence := _FENCE.match(line):
            self.fence, self.span = fence[1] or fence[2], 0
        elif not line.strip():
            self.span = 0  # inline code ends with its paragraph
        else:
            for ticks in _TICKS.findall(line):
                self.span = 0 if len(ticks) == self.span else self.span or len(ticks)


@dataclass(frozen=True, slots=True)
class Unopened:
    """The parts of an answer whose thinking has no opening tag; `closing` is the other one, in lower case."""

    thinking: str
    answer: str
    closing: str


def split_unopened(text: str) -> Unopened | None:
    """The parts of a whole answer whose text begins with thinking that only a closing tag ends.

    That is a tag alone on its line, or at the end of a paragraph without a blank before it, outside of code. None:
    there is none, an opening tag comes first, or nothing but blanks stands before it or after it.
    """
    lowered = text.lower()
    if not any(closing in lowered for closing in UNOPENED):
        return None
    code, place = _Code(), 0
    lines = text.split("\n")
    for number, line in enumerate(lines):
        words = line.strip().lower()
        if not code.is_open and words.startswith(tuple(TAGS)):
            return None
        closing = next((tag for tag in UNOPENED if words.endswith(tag)), "")
        if closing and not code.is_open and len(line) - len(line.lstrip(" ")) <= INDENT:
            before = words.removesuffix(closing)
            ends = not before or (
                not before[-1].isspace() and "`" not in before and not "".join(lines[number + 1 : number + 2]).strip()
            )
            end = place + len(line.rstrip())
            thinking, answer = text[: end - len(closing)].strip(), text[end:].lstrip()
            if ends:
                return Unopened(thinking, answer, closing) if thinking and answer else None
        code.end_line(line)
        place += len(line) + 1
    return None


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
        self._code = _Code()
        self._presumed = False  # it is read as thinking, and no tag has said so
        self._refuted = False  # the server separates the thinking

    @property
    def was_wrong(self) -> bool:
        """After `end`: the answer was presumed to begin inside of thinking, and it did not."""
        return self._refuted or (self._presumed and bool(self._block))

    def presume(self, closing: str) -> None:
        """Before anything is read: the answer begins inside of thinking, which `closing` ends."""
        self._closing, self._presumed = closing, bool(closing)

    def note_separate(self) -> None:
        """The server has sent thinking apart from the text."""
        if self._presumed and not self._block:
            self._closing, self._presumed, self._refuted = "", False, True

    def feed(self, text: str) -> list[Chunk]:
        """The chunks of text and reasoning that are certain now."""
        # Within a line there is no tag.
        if text and self._line and not (self._held or self._closing or self._skip or "\n" in text):
            self._answered = self._answered or bool(text.strip())
            self._line.append(text)
            return [Chunk(text)]
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
        if self._presumed and not self._block:
            self._held = self._held.lstrip()
            if (found := self._read_opening(self._held)) is not None:
                return found
        thinking, closing, rest = self._held.partition(self._closing)
        if closing:
            self._presumed = False
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
        if not self._line and not self._code.is_open and (found := self._read_tag()) is not None:
            return found
        self._skip = False
        line, newline, rest = self._held.partition("\n")
        self._held = rest
        self._answered = self._answered or bool(line.strip())
        chunks.append(Chunk(line + newline))
        self._line.append(line)
        if newline:
            self._code.end_line("".join(self._line))
            self._line = []
        return bool(rest)

    def _read_tag(self) -> bool | None:
        """True after a tag, false while this may become one, None where it is none."""
        start = self._held.lstrip(" ") if self._answered else self._held.lstrip()
        if self._answered and len(self._held) - len(start) > INDENT:
            return None
        if not self._answered:  # the prompt of some models ends with the opening tag
            for closing in CLOSINGS:
                if start[: len(closing)].lower() == closing:
                    self._held, self._skip = start[len(closing) :], True
                    return True
            if any(closing.startswith(start.lower()) for closing in CLOSINGS):
                return False
        return self._read_opening(start)

    def _read_opening(self, start: str) -> bool | None:
        """True after an opening tag, false while `start` may become one, None where it is none."""
        for opening, closing in TAGS.items():
            if start[: len(opening)].lower() == opening:
                found = start[0] + "/" + start[1 : len(opening)]  # in the letters of the opening tag
                closing = closing.upper() if start[: len(opening)].isupper() else closing
                self._closing = found if found.lower() == closing.lower() else closing
                self._held, self._block, self._presumed = start[len(opening) :], [], False
                return True
        return False if any(tag.startswith(start.lower()) for tag in TAGS) else None


def _overlap(text: str, tag: str) -> int:
    """How many characters at the end of `text` may be the beginning of `tag`."""
    return next((size for size in range(min(len(tag) - 1, len(text)), 0, -1) if text.endswith(tag[:size])), 0)
