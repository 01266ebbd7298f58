"""Formats of conversations to import, one file each: our own export, ChatGPT's, Open WebUI's.

Each is read by its shape (msgspec), which names the place of an error; unknown fields are ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from chat.portability.archive import ImportRefusedError
from chat.portability.export import FORMAT
from chat.portability.formats import chatgpt, open_webui, own
from chat.portability.formats.base import ImportedConversation, ImportedMessage

__all__ = ["ImportedConversation", "ImportedMessage", "read_conversations"]

NO_EXPORT: Final = "is not an export from Antiphon, ChatGPT (conversations.json) or Open WebUI."

# A format's reader makes a conversation of one entry of the file; None for one that is not to be imported.
Reader = Callable[[Any], ImportedConversation | None]
READERS: Final[tuple[tuple[str, Reader], ...]] = (
    ("mapping", chatgpt.read_conversation),  # by the key that every entry of the format has
    ("chat", open_webui.read_conversation),
)


def read_conversations(name: str, data: Any) -> Iterator[ImportedConversation]:
    """The conversations of one document. Raises `ImportRefusedError` when its format is unknown."""
    entries, reader = _detect_format(name, data)
    for number, entry in enumerate(entries, 1):
        title = entry.get("title") if isinstance(entry, dict) else None
        suffix = f" (“{title[:60]}”)" if isinstance(title, str) and title.strip() else ""
        try:
            conversation = reader(entry)
        except msgspec.ValidationError as error:
            conversation = ImportedConversation("", "", error=f"{error}.")
        except (OverflowError, ValueError):
            conversation = ImportedConversation("", "", error="It contains a number that is out of range.")
        if conversation is not None:
            conversation.place = f"{name}, conversation {number}{suffix}"
            yield conversation


def _detect_format(name: str, data: Any) -> tuple[list[Any], Reader]:
    if isinstance(data, dict) and data.get("format") == FORMAT:
        return own.list_conversations(name, data), own.read_conversation
    entries = data
    if isinstance(data, dict) and any(key in data for key, _reader in READERS):
        entries = [data]  # a single conversation
    if isinstance(entries, list) and entries:
        for key, reader in READERS:
            if all(isinstance(entry, dict) and key in entry for entry in entries):
                return entries, reader
    raise ImportRefusedError(f"{name} {NO_EXPORT}")
