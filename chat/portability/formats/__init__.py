"""Formats of conversations to import, one file each: our own export, ChatGPT's, Claude's, Open WebUI's, LibreChat's.

Each is read by its shape (msgspec); unknown fields are ignored. A document is read twice: to its end to find out its
format and that it is whole, then for its conversations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from chat.portability import refusals
from chat.portability.export import FORMAT
from chat.portability.formats import chatgpt, claude, librechat, open_webui, own
from chat.portability.formats.base import ImportedConversation, ImportedFile, ImportedMessage
from chat.portability.json_stream import ImportRefusedError, JsonStream

__all__ = ["Format", "ImportedConversation", "ImportedFile", "ImportedMessage", "detect_format", "read_conversations"]

# A format's reader makes a conversation of one entry of the file; None for one that is not to be imported.
Reader = Callable[[Any], ImportedConversation | None]
READERS: Final[dict[str, Reader]] = {
    "mapping": chatgpt.read_conversation,  # by the key that every entry of the format has
    "chat": open_webui.read_conversation,
    "chat_messages": claude.read_conversation,
    "conversationId": librechat.read_conversation,
}


@dataclass(frozen=True, slots=True)
class Format:
    """The format of one document: the list that has its entries, the key of each, their reader, and how many they are.

    `single`: the document itself is the only entry.
    """

    entries_of: str
    key: str
    reader: Reader
    count: int
    single: bool = False


def detect_format(document: JsonStream) -> Format:
    """Reads the document to its end. Raises `ImportRefusedError` when it is not whole or not known, `OSError`."""
    lists: dict[str, int] = {}
    keys: set[str] = set()
    for name, entry in document.entries():
        lists[name] = lists.get(name, 0) + 1
        if name == "" and isinstance(entry, dict):
            keys |= READERS.keys() & entry.keys()
    head = document.head
    if head is not None and head.get("format") == FORMAT:
        own.check_head(document.name, head)
        return Format("conversations", "", own.read_conversation, lists.get("conversations", 0))
    if head is not None:
        keys = READERS.keys() & head.keys()
    if len(keys) != 1:
        raise ImportRefusedError(refusals.NO_EXPORT % {"file": document.name})
    [key] = keys
    return Format("", key, READERS[key], 1 if head is not None else lists[""], single=head is not None)


def read_conversations(document: JsonStream, known: Format) -> Iterator[ImportedConversation]:
    """The conversations of a document. One that cannot be read has an `error`. Raises `ImportRefusedError`."""
    number = 0
    for name, entry in document.entries():
        if name == known.entries_of and not known.single:
            number += 1
            yield from _read(document.name, number, entry, known)
    if known.single:
        yield from _read(document.name, 1, document.head, known)


def _read(document: str, number: int, entry: Any, known: Format) -> Iterator[ImportedConversation]:
    """The conversation of one entry, if it is to be imported."""
    title = (entry.get("title") or entry.get("name")) if isinstance(entry, dict) else None
    conversation: ImportedConversation | None
    try:
        if known.key and not (isinstance(entry, dict) and known.key in entry):
            wrong = refusals.NO_KEY % {"key": known.key} if isinstance(entry, dict) else refusals.NO_OBJECT
            conversation = ImportedConversation("", "", error=wrong)
        else:
            conversation = known.reader(entry)
    except msgspec.ValidationError as error:
        conversation = ImportedConversation("", "", error=f"{error}.")
    except (OverflowError, ValueError):
        conversation = ImportedConversation("", "", error=refusals.BIG_NUMBER)
    if conversation is not None:
        source = refusals.TITLED_PLACE if isinstance(title, str) and title.strip() else refusals.PLACE
        conversation.document = document
        conversation.place = source % {"file": document, "number": number, "title": str(title)[:60]}
        yield conversation
