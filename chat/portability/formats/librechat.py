"""LibreChat's export of a conversation. `messages`, which some versions call `messagesTree`, is a list of one branch or
of all, or a tree, in which answers are among the `children` of questions.
"""

from __future__ import annotations

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

MAX_NODES: Final = 100_000


class Conversation(Struct):
    conversationId: Id  # noqa: N815 -- their name
    title: Any = None
    messages: Any = None
    messagesTree: Any = None  # noqa: N815 -- their name


def read_conversation(entry: Any) -> ImportedConversation:
    one = msgspec.convert(entry, Conversation)
    tree = one.messagesTree if isinstance(one.messagesTree, list) else one.messages
    messages: list[ImportedMessage] = []
    seen: set[str] = set()
    # A list names parents; in a tree, each node also has its children.
    waiting: list[tuple[Any, str | None]] = [(node, None) for node in reversed(tree if isinstance(tree, list) else [])]
    while waiting and len(messages) < MAX_NODES:
        node, above = waiting.pop()
        if not isinstance(node, dict):
            continue
        name = text_of(node.get("messageId"))[:200] or f"message {len(messages)}"
        if name in seen:
            continue
        seen.add(name)
        messages.append(_message(node, name, above or text_of(node.get("parentMessageId")) or None))
        children = node.get("children")
        if isinstance(children, list):
            waiting += [(child, name) for child in reversed(children)]
    return ImportedConversation(one.conversationId, text_of(one.title), messages)


def _message(node: dict[str, Any], name: str, parent: str | None) -> ImportedMessage:
    mine = node.get("isCreatedByUser")
    role = ("user" if mine else "assistant") if isinstance(mine, bool) else ""
    return ImportedMessage(
        name, parent, role, _text(node), timestamp(node.get("createdAt")), model=text_of(node.get("model"))[:200]
    )


def _text(node: dict[str, Any]) -> str:
    """What was written, with a word for each picture and file: neither what the model thought, nor what its tools did,
    nor why an answer failed.
    """
    if node.get("error") is True:
        return ""
    texts = [_part(part) for part in _dicts(node.get("content"))]
    if not any(text.strip() for text in texts):
        texts = [text_of(node.get("text"))]
    texts += [IMAGE if _is_image(file) else ATTACHMENT for file in _dicts(node.get("files"))]
    made = [file for file in _dicts(node.get("attachments")) if text_of(file.get("filename"))]  # others are sources
    texts += [IMAGE if _is_image(file) else ATTACHMENT for file in made]
    return "\n\n".join(text for text in texts if text.strip())


def _part(part: dict[str, Any]) -> str:
    match part.get("type"):
        case "text":
            text = part.get("text")
            return text_of(text.get("value")) if isinstance(text, dict) else text_of(text)
        case "image_file" | "image_url":
            return IMAGE
    return ""


def _is_image(file: dict[str, Any]) -> bool:
    return text_of(file.get("type")).startswith("image/")


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
