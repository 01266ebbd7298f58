"""What is kept of an answer that somebody talked over: what was heard."""

from __future__ import annotations

import unicodedata
from typing import Final

from chat.markdown import render
from chat.models import Message, MessageStatus, Run

LONGEST_WORD: Final = 40  # code points; what runs on for longer is a script that does not part words by spaces


def heard_part(text: str, heard_chars: int) -> str:
    """The beginning of `text` that was spoken: up to `heard_chars` code points, without the word that was cut into.

    Always a prefix. Ends after a word, never inside one, nor between a letter and its accent, nor with a space.
    """
    if heard_chars >= len(text):
        return text
    cut = heard_chars
    while cut > 0 and heard_chars - cut <= LONGEST_WORD and _joined(text[cut - 1], text[cut]):
        cut -= 1
    if heard_chars - cut > LONGEST_WORD:
        cut = heard_chars
        while cut > 0 and unicodedata.combining(text[cut]):
            cut -= 1
    return text[:cut].rstrip()


def keep_what_was_heard(run: Run, message: Message) -> bool:
    """Whether something was cut off. Nothing keeps what was."""
    if run.heard_chars is None:
        return False
    kept = heard_part(message.text, run.heard_chars)
    if len(kept) >= len(message.text.rstrip()):
        run.heard_chars = None
        return False
    run.heard_chars, run.produced_chars = len(kept), len(message.text)
    message.text, message.html = kept, render(kept)
    if message.status == MessageStatus.COMPLETE:
        message.status = MessageStatus.STOPPED
    return True


def _joined(before: str, after: str) -> bool:
    """Whether two neighbours belong to one word."""
    return bool(unicodedata.combining(after)) or (_in_word(before) and _in_word(after))


def _in_word(character: str) -> bool:
    return character.isalnum() or character in "'’-_" or bool(unicodedata.combining(character))
