"""Open WebUI's export (Settings, Chats, Export): `history` is the tree; older ones have `messages`, a path."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec
from msgspec import Struct

from chat.portability.formats.base import ATTACHMENT, IMAGE, Id, ImportedConversation, ImportedMessage, timestamp

_REASONING: Final = re.compile(r'<details type="reasoning".*?</details>\s*', re.DOTALL)


class Message(Struct):
    role: str
    id: str | None = None
    content: str | list[Any] | None = None
    parentId: str | None = None  # noqa: N815 -- their name
    timestamp: float | None = None
    files: list[Any] | None = None


class History(Struct):
    messages: dict[Id, Message]
    currentId: str | None = None  # noqa: N815 -- their name


class Chat(Struct):
    title: str | None = None
    history: History | None = None
    messages: list[Message] | None = None


class Conversation(Struct):
    id: Id
    chat: Chat
    title: str | None = None


def read_conversation(entry: Any) -> ImportedConversation:
    one = msgspec.convert(entry, Conversation)
    title = one.title or one.chat.title or ""
    if one.chat.history is not None and one.chat.history.messages:
        tree = one.chat.history.messages
        messages = [
            ImportedMessage(key, m.parentId, m.role, _content(m), timestamp(m.timestamp)) for key, m in tree.items()
        ]
        return ImportedConversation(one.id, title, messages, one.chat.history.currentId)
    messages = []
    for number, m in enumerate(one.chat.messages or []):
        messages.append(
            ImportedMessage(
                str(number), str(number - 1) if number else None, m.role, _content(m), timestamp(m.timestamp)
            )
        )
    return ImportedConversation(one.id, title, messages)


def _content(message: Message) -> str:
    if isinstance(message.content, list):
        parts = [part for part in message.content if isinstance(part, dict)]
        texts = [part["text"] if isinstance(part.get("text"), str) else IMAGE for part in parts]
    else:
        texts = [_REASONING.sub("", message.content or "")]
    for file in message.files or ():
        texts.append(IMAGE if isinstance(file, dict) and file.get("type") == "image" else ATTACHMENT)
    return "\n\n".join(text for text in texts if text.strip())
