"""Turns an imported tree of nodes into the tree that this site stores: users' messages, and answers to them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from chat.models import MessageRole
from chat.portability import refusals
from chat.portability.formats import ImportedConversation, ImportedFile, ImportedMessage
from chat.portability.json_stream import ImportRefusedError
from chat.protocol.marks import bound_marks

MAX_MESSAGES: Final = 20_000  # of one conversation
MAX_TEXT: Final = 1_000_000  # characters of one message
MAX_CHARACTERS: Final = 50_000_000  # of one conversation


@dataclass(frozen=True, slots=True)
class _Merged:
    """Nodes of one role in a row, which become one message below `parent`. `before` is the row without `last`."""

    last: ImportedMessage
    parent: str | None
    before: _Merged | None = None

    @property
    def text(self) -> str:
        parts: list[str] = []
        at: _Merged | None = self
        while at is not None:
            parts.append(at.last.text)
            at = at.before
        return "\n\n".join(part for part in reversed(parts) if part)

    @property
    def files(self) -> tuple[ImportedFile, ...]:
        found: list[ImportedFile] = []
        at: _Merged | None = self
        while at is not None:
            found = [*at.last.files, *found]
            at = at.before
        return tuple(found)


def normalise_tree(conversation: ImportedConversation) -> None:
    """Replaces the messages by users' messages and answers in alternation, parents first.

    Nodes that are not shown (tools, instructions) are removed, and their children move up. Several nodes of one role in
    a row become one message, so that every path of the file stays one of the conversation. Only of our own exports the
    messages of users stay as they are: people may have written one after the other. Raises `ImportRefusedError` for a
    tree that is too large or broken.
    """
    if len(conversation.messages) > MAX_MESSAGES:
        raise ImportRefusedError(refusals.MANY_MESSAGES % {"most": f"{MAX_MESSAGES:,}"})
    nodes = {node.id: replace(node, text=clean_text(node.text).strip()) for node in conversation.messages}
    if len(nodes) < len(conversation.messages):
        raise ImportRefusedError(refusals.SAME_IDS)
    children: dict[str | None, list[ImportedMessage]] = {}
    for node in nodes.values():
        children.setdefault(node.parent if node.parent in nodes else None, []).append(node)
    kept: dict[str, ImportedMessage] = {}
    ends: dict[str, str] = {}  # of each node, the last node of the message it is merged into
    size = 0
    waiting: list[tuple[ImportedMessage, _Merged | None]] = [(node, None) for node in reversed(children.get(None, []))]
    while waiting:
        node, merged = waiting.pop()
        if _is_message(node):
            continues = merged is not None and _continues(conversation, merged.last, node)
            parent = (merged.parent if continues else merged.last.id) if merged else None
            merged = _Merged(node, parent, merged if continues else None)
        ends[node.id] = merged.last.id if merged else ""
        below = children.get(node.id, [])
        waiting += [(child, merged) for child in reversed(below)]
        # A message is complete at a leaf, and where a child has the other role.
        if merged is None or merged.last.id in kept:
            continue
        if not below or any(_is_message(child) and not _continues(conversation, merged.last, child) for child in below):
            text = merged.text
            size += len(text)
            if len(text) > MAX_TEXT:
                raise ImportRefusedError(refusals.LONG_MESSAGE % {"most": f"{MAX_TEXT:,}", "id": merged.last.id})
            if size > MAX_CHARACTERS:
                raise ImportRefusedError(refusals.MANY_CHARACTERS % {"most": f"{MAX_CHARACTERS:,}"})
            kept[merged.last.id] = replace(merged.last, parent=merged.parent, text=text, files=merged.files)
    if lost := next((name for name in nodes if name not in ends), None):
        raise ImportRefusedError(refusals.OWN_ANCESTORS % {"id": lost})
    if not kept:
        raise ImportRefusedError(refusals.NO_MESSAGES)
    conversation.messages = list(kept.values())
    tip = ends.get(conversation.tip or "", "")
    conversation.tip = tip if tip in kept else None


def _continues(conversation: ImportedConversation, node: ImportedMessage, child: ImportedMessage) -> bool:
    """Whether two nodes in a row become one message."""
    return child.role == node.role and not (conversation.native and node.role == MessageRole.USER)


def _is_message(node: ImportedMessage) -> bool:
    return node.role in MessageRole.values and bool(node.text or node.files)


def clean_text(text: str) -> str:
    """The text without NUL and unpaired surrogates, which cannot be stored, and with few marks on each character."""
    return bound_marks(text.replace("\x00", "").encode(errors="replace").decode())
