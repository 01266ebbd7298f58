"""Claude's export (Settings, Privacy, Export data): `chat_messages`, with the parent of each where answers branch."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Struct

from chat.portability.formats.base import ATTACHMENT, Id, ImportedConversation, ImportedMessage, text_of, timestamp

_ROLES: Final = {"human": "user", "assistant": "assistant"}


class Conversation(Struct):
    uuid: Id
    chat_messages: list[Any]
    name: Any = None
    current_leaf_message_uuid: Any = None


def read_conversation(entry: Any) -> ImportedConversation:
    one = msgspec.convert(entry, Conversation)
    nodes = [node if isinstance(node, dict) else {} for node in one.chat_messages]
    names = [text_of(node.get("uuid"))[:200] or f"message {number}" for number, node in enumerate(nodes)]
    known = set(names)
    messages = []
    for number, (name, node) in enumerate(zip(names, nodes, strict=True)):
        parent = text_of(node.get("parent_message_uuid"))
        before = names[number - 1] if number else None
        # Exports from before there were branches name no parents. The first message's parent is in no file.
        above = parent if parent in known and parent != name else None if parent else before
        at = timestamp(node.get("created_at"))
        messages.append(ImportedMessage(name, above, _ROLES.get(text_of(node.get("sender")), ""), _text(node), at))
    return ImportedConversation(
        one.uuid, text_of(one.name), messages, text_of(one.current_leaf_message_uuid) or _newest(messages)
    )


def _newest(messages: list[ImportedMessage]) -> str | None:
    """The end of the branch that was last written in: the archive of all conversations does not name it."""
    dated = [(message.at, place) for place, message in enumerate(messages) if message.at is not None]
    return messages[max(dated)[1]].id if dated else None


def _text(node: dict[str, Any]) -> str:
    """What was written: neither what the model thought, nor what its tools did. Texts of pasted files stay."""
    content = node.get("content")
    parts = [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []
    texts = [text_of(part.get("text")) for part in parts if part.get("type") == "text"]
    if not any(text.strip() for text in texts):
        # Older exports have the text only; in newer ones it may repeat what tools did.
        texts = [text_of(node.get("text"))] if not any(part.get("type") != "text" for part in parts) else []
    for file in _list(node.get("attachments")):
        pasted = text_of(file.get("extracted_content")).strip()
        name = text_of(file.get("file_name")).strip()
        texts.append(f"{name}\n\n{pasted}".strip() if pasted else ATTACHMENT)
    texts += [ATTACHMENT for _file in _list(node.get("files"))]
    return "\n\n".join(text for text in texts if text.strip())


def _list(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
