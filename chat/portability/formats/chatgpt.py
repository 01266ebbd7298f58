"""ChatGPT's export (https://help.openai.com/en/articles/7260999): trees of nodes, not all of them shown."""

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
    text_of,
    timestamp,
)

_CITATION: Final = re.compile("\ue200[^\ue200\ue201]{0,500}\ue201")  # references to its own search results


class Author(Struct):
    role: str


class Content(Struct):
    content_type: str | None = "text"
    parts: list[Any] | str | None = None
    text: str | None = None
    language: str | None = None


class Message(Struct):
    author: Author
    content: Content | None = None
    create_time: Any = None
    recipient: str | None = None
    metadata: dict[str, Any] | None = None


class Conversation(Struct):
    mapping: dict[Id, Any]
    title: Any = None
    conversation_id: Any = None
    id: Any = None
    current_node: Any = None


def read_conversation(entry: Any) -> ImportedConversation:
    one = msgspec.convert(entry, Conversation)
    parents = _parents(one.mapping)
    messages = []
    for key, node in one.mapping.items():
        message = _message(node)
        if message is None or not _is_shown(message):
            messages.append(ImportedMessage(key, parents.get(key), "", "", None))  # others are below it
        else:
            # An image made by a tool is part of the answer.
            role = "assistant" if message.author.role == "tool" else message.author.role
            at = timestamp(message.create_time)
            messages.append(ImportedMessage(key, parents.get(key), role, _text(message.content), at))
    name = text_of(one.conversation_id) or text_of(one.id) or next(iter(one.mapping), "")
    return ImportedConversation(name, text_of(one.title), messages, text_of(one.current_node) or None)


def _message(node: Any) -> Message | None:
    """The message of a node; None without one, or when it has no author or is not readable."""
    try:
        return msgspec.convert(node["message"], Message) if isinstance(node, dict) and node.get("message") else None
    except msgspec.ValidationError:
        return None


def _parents(mapping: dict[str, Any]) -> dict[str, str]:
    """The parent of each node: by itself, else by the list of children in which it is."""
    parents: dict[str, str] = {}
    for key, node in mapping.items():
        children = node.get("children") if isinstance(node, dict) else None
        for child in children if isinstance(children, list) else ():
            if isinstance(child, str) and not isinstance(mapping.get(child), dict):
                parents[child] = key
        if isinstance(node, dict) and text_of(node.get("parent")):
            parents[key] = node["parent"]
    return parents


def _is_shown(message: Message) -> bool:
    """Whether ChatGPT itself shows it: no tool calls, no tool results but images, no reasoning."""
    if message.metadata and message.metadata.get("is_visually_hidden_from_conversation") is True:
        return False
    content = message.content or Content()
    if message.author.role == "tool":
        return any(_kind(part) == "image_asset_pointer" for part in _parts(content))
    if message.recipient not in (None, "all"):
        return False
    return content.content_type in (None, "text", "multimodal_text", "code")


def _text(content: Content | None) -> str:
    if content is None:
        return ""
    if content.content_type == "code":
        language = content.language if content.language not in (None, "unknown") else ""
        return f"```{language}\n{content.text or ''}\n```" if content.text else ""
    return _CITATION.sub("", "\n\n".join(text for part in _parts(content) if (text := _part_text(part))))


def _parts(content: Content) -> list[Any]:
    if isinstance(content.parts, list):
        return content.parts
    return [content.parts if content.parts is not None else content.text or ""]


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
