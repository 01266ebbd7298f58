"""Open WebUI's export (Settings, Chats, Export): `history` is the tree; older ones have `messages`, a path."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec
from msgspec import Struct

from chat.portability.formats.base import (
    ATTACHMENT,
    IMAGE,
    Id,
    ImportedConversation,
    ImportedMessage,
    names_of,
    text_of,
    timestamp,
)
from chat.portability.order import ImportedOrder

# Reasoning, tool calls and code that was run: shown folded there, and not part of the answer.
_STEP: Final = re.compile(r'^<details type="(?:reasoning|tool_calls|code_interpreter)"', re.MULTILINE)
_END: Final = "</details>"


class Message(Struct):
    role: str
    content: str | list[Any] | None = None
    timestamp: Any = None
    files: Any = None


class History(Struct):
    messages: dict[Id, Any]
    currentId: Any = None  # noqa: N815 -- their name


class Chat(Struct):
    title: Any = None
    history: History | None = None
    messages: list[Any] | None = None


class Conversation(Struct):
    id: Id
    chat: Chat
    title: Any = None
    archived: Any = None
    meta: Any = None


def read_conversation(entry: Any) -> ImportedConversation:
    one = msgspec.convert(entry, Conversation)
    title = text_of(one.title) or text_of(one.chat.title)
    if one.chat.history is not None and one.chat.history.messages:
        tree = one.chat.history.messages
        messages = [_message(key, _parent(node), node) for key, node in tree.items()]
        tip = text_of(one.chat.history.currentId) or None
        return ImportedConversation(one.id, title, messages, tip, order=_order(one))
    path = enumerate(one.chat.messages or [])
    messages = [_message(str(number), str(number - 1) if number else None, node) for number, node in path]
    return ImportedConversation(one.id, title, messages, order=_order(one))


def _order(one: Conversation) -> ImportedOrder:
    """Its tags, and whether it is archived. Folders have only their ids in the file."""
    tags = one.meta.get("tags") if isinstance(one.meta, dict) else None
    return ImportedOrder(tags=names_of(tags), archived=one.archived is True)


def _parent(node: Any) -> str | None:
    return text_of(node.get("parentId")) or None if isinstance(node, dict) else None


def _message(key: str, parent: str | None, node: Any) -> ImportedMessage:
    """A node of the tree, without text when it is not readable: others may be below it."""
    try:
        message = msgspec.convert(node, Message)
    except msgspec.ValidationError:
        return ImportedMessage(key, parent, "", "", None)
    return ImportedMessage(key, parent, message.role, _content(message), timestamp(message.timestamp))


def _content(message: Message) -> str:
    if isinstance(message.content, list):
        parts = [part for part in message.content if isinstance(part, dict)]
        texts = [part["text"] if isinstance(part.get("text"), str) else IMAGE for part in parts]
    else:
        content = message.content or ""
        texts = [_without_steps(content) if message.role == "assistant" else content]
    for file in message.files if isinstance(message.files, list) else ():
        texts.append(IMAGE if isinstance(file, dict) and file.get("type") == "image" else ATTACHMENT)
    return "\n\n".join(text for text in texts if text.strip())


def _without_steps(text: str) -> str:
    """The text without its steps. One that does not end is left as it is; each character is looked at once."""
    kept, at = [], 0
    while (begun := _STEP.search(text, at)) is not None:
        end = text.find(_END, begun.end())
        if end < 0:
            break
        kept.append(text[at : begun.start()])
        at = end + len(_END)
        while text[at : at + 1].isspace():
            at += 1
    return "".join(kept) + text[at:]
