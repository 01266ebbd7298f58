"""Our own export (`chat.portability.export`)."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct

from chat.portability import refusals
from chat.portability.export import VERSION
from chat.portability.formats.base import (
    Id,
    ImportedComparison,
    ImportedConversation,
    ImportedFile,
    ImportedMessage,
    files_of,
    names_of,
    text_of,
    timestamp,
)
from chat.portability.json_stream import ImportRefusedError, JsonStream
from chat.portability.order import ImportedOrder
from chat.protocol.commands import EFFORTS
from chat.protocol.errors import ChatError
from chat.protocol.parameters import check_max_tokens, check_prompt, check_temperature


class Comparison(Struct):
    size: int
    chosen: Id | None = None


class Message(Struct):
    id: Id
    role: str
    text: str
    created_at: datetime | None = None
    edited_at: datetime | None = None
    parent_id: Id | None = None
    mine: bool = True
    model: str | None = None
    slot: int = 0
    comparison: Comparison | None = None
    files: Any = None


class Conversation(Struct):
    id: Id
    title: str
    messages: list[Message]
    tip: str | None = None
    deleted_at: str | None = None
    temporary: bool = False
    system_prompt: str = ""
    temperature: float | None = None
    max_tokens: int | None = None
    effort: str | None = None
    folder: Any = None
    tags: Any = None
    archived_at: Any = None


@dataclass(frozen=True, slots=True)
class ImportedCollection:
    """A collection of the user's own, with its files. `document` is the name of the JSON document."""

    id: str
    name: str
    description: str
    files: tuple[ImportedFile, ...]
    document: str


def read_collections(document: JsonStream) -> list[ImportedCollection]:
    """The collections of a document that was read to its end; what is none is left out."""
    head = document.head or {}
    rows, files = head.get("collections"), head.get("files")
    by_collection: dict[str, list[Any]] = {}
    for file in files if isinstance(files, list) else ():
        if isinstance(file, dict) and (where := text_of(file.get("collection"))):
            by_collection.setdefault(where, []).append(file)
    return [
        ImportedCollection(
            key, text_of(row.get("name")), text_of(row.get("description")), files_of(by_collection.get(key)),
            document.name,
        )
        for row in (rows if isinstance(rows, list) else ())
        if isinstance(row, dict) and (key := text_of(row.get("id"))[:200])
    ]  # fmt: skip


def check_head(name: str, data: dict[str, Any]) -> None:
    """Raises `ImportRefusedError` for an export of another version, or without conversations."""
    if data.get("version") != VERSION:
        raise ImportRefusedError(refusals.NEWER % {"file": name})
    if not isinstance(data.get("conversations"), list):
        raise ImportRefusedError(refusals.NO_LIST % {"file": name})


def read_conversation(entry: Any) -> ImportedConversation | None:
    """None for a deleted or a temporary conversation, which was to be deleted anyway."""
    one = msgspec.convert(entry, Conversation)
    if one.deleted_at or one.temporary:
        return None
    messages = [_message(message) for message in one.messages]
    return ImportedConversation(
        one.id, one.title, messages, one.tip, native=True, parameters=read_parameters(one), order=_order(one)
    )  # fmt: skip


def _order(one: Conversation) -> ImportedOrder:
    """How it was kept. What is no name is left out; the conversation is imported all the same."""
    return ImportedOrder(names_of(one.folder), names_of(one.tags), bool(one.archived_at))


def _message(one: Message) -> ImportedMessage:
    compared = ImportedComparison(one.comparison.size, one.comparison.chosen) if one.comparison else None
    return ImportedMessage(
        one.id, one.parent_id, one.role, one.text, _time(one.created_at), one.mine,
        model=one.model or "", slot=one.slot, comparison=compared,
        edited=_time(one.edited_at), files=files_of(one.files),
    )  # fmt: skip


def read_parameters(one: Conversation) -> dict[str, Any]:
    """The parameters of a conversation that are in bounds. The others are left out; the conversation is imported."""
    found: dict[str, Any] = {}
    with contextlib.suppress(ChatError):
        found["system_prompt"] = check_prompt(one.system_prompt)
    if one.temperature is not None:
        with contextlib.suppress(ChatError):
            found["temperature"] = check_temperature(one.temperature)
    if one.max_tokens is not None:
        with contextlib.suppress(ChatError):
            found["max_tokens"] = check_max_tokens(one.max_tokens)
    if one.effort in EFFORTS:
        found["effort"] = one.effort
    return found


def _time(at: datetime | None) -> datetime | None:
    return timestamp((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()) if at else None
