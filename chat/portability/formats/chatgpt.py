"""ChatGPT's export (https://help.openai.com/en/articles/7260999): trees of nodes, not all of them shown."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec
from msgspec import Struct

from chat.portability.formats.base import ATTACHMENT, IMAGE, Id, ImportedConversation, ImportedMessage, timestamp

_CITATION: Final = re.compile("\ue200[^\ue200\ue201]{0,500}\ue201")  # references to its own search results


class Author(Struct):
    role: str


class Content(Struct):
    content_type: str = "text"
    parts: list[Any] | None = None
    text: str | None = None
    language: str | None = None


class Message(Struct):
    author: Author
    content: Content | None = None
    create_time: float | None = None
    recipient: str | None = None
    metadata: dict[str, Any] | None = None


class MappingEntry(Struct):
    message: Message | None = None
    parent: str | None = None


class Conversation(Struct):
    mapping: dict[Id, MappingEntry]
    title: str | None = None
    conversation_id: str | None = None
    id: str | None = None
    current_node: str | None = None


def read_conversation(entry: Any) -> ImportedConversation:
    one = msgspec.convert(entry, Conversation)
    messages = []
    for key, node in one.mapping.items():
        message = node.message
        if message is None or not _is_shown(message):
            messages.append(ImportedMessage(key, node.parent, "", "", None))  # others are below it
        else:
            # An image made by a tool is part of the answer.
            role = "assistant" if message.author.role == "tool" else message.author.role
            messages.append(
                ImportedMessage(key, node.parent, role, _text(message.content), timestamp(message.create_time))
            )
    name = one.conversation_id or one.id or next(iter(one.mapping), "")
    return ImportedConversation(name, one.title or "", messages, one.current_node)


def _is_shown(message: Message) -> bool:
    """Whether ChatGPT itself shows it: no tool calls, no tool results but images, no reasoning."""
    if message.metadata and message.metadata.get("is_visually_hidden_from_conversation") is True:
        return False
    content = message.content or Content()
    if message.author.role == "tool":
        return any(_kind(part) == "image_asset_pointer" for part in content.parts or ())
    if message.recipient not in (None, "all"):
        return False
    return content.content_type in ("text", "multimodal_text", "code")


def _text(content: Content | None) -> str:
    if content is None:
        return ""
    if content.content_type == "code":
        language = content.language if content.language not in (None, "unknown") else ""
        return f"```{language}\n{content.text or ''}\n```" if content.text else ""
    parts = content.parts if content.parts is not None else [content.text or ""]
    return _CITATION.sub("", "\n\n".join(text for part in parts if (text := _part_text(part))))


def _part_text(part: Any) -> str:
    if isinstance(part, str):
        return part
    if _kind(part) == "audio_transcription":
        return part["text"] if isinstance(part.get("text"), str) else ""
    if _kind(part).endswith("asset_pointer"):
        return IMAGE if _kind(part).startswith("image") else ""  # speech has a transcription beside it
    return ATTACHMENT if isinstance(part, dict) else ""


def _kind(part: Any) -> str:
    kind = part.get("content_type") if isinstance(part, dict) else None
    return kind if isinstance(kind, str) else ""
