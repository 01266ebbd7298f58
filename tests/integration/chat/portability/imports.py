"""Exports and their import."""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from typing import Any

from accounts.models import User
from chat.models import Message
from chat.portability.import_file import read_file
from chat.portability.importer import import_conversations


def node(name: str, parent: str | None, role: str, text: Any, at: float | None = 1_700_000_000) -> dict[str, Any]:
    message = {"author": {"role": role}, "content": {"content_type": "text", "parts": [text]}, "create_time": at}
    return {"id": name, "parent": parent, "children": [], "message": message if role else None}


def chatgpt(*nodes: dict[str, Any], tip: str = "", title: str = "Trip", name: str = "c-1") -> dict[str, Any]:
    return {
        "title": title, "conversation_id": name, "current_node": tip, "mapping": {one["id"]: one for one in nodes},
    }  # fmt: skip


TRIP = chatgpt(
    node("root", None, "", ""),
    node("s", "root", "system", "You are helpful."),
    node("q", "s", "user", "Where to?"),
    node("t", "q", "tool", "searched"),
    node("a", "t", "assistant", "**North**."),
    node("a2", "t", "assistant", "South."),
    node("q2", "a", "user", "Why?\x00"),
    tip="q2",
)


def load(user: User, data: Any) -> list[str]:
    """`new`, `known`, or why it was refused."""
    chats = read_file(io.BytesIO(json.dumps(data).encode()))
    return [outcome.reason or outcome.kind for outcome in import_conversations(user, chats)]


def tree() -> dict[str, str | None]:
    """Text by text of its parent."""
    return {one.text: one.parent.text if one.parent else None for one in Message.objects.select_related("parent")}


def archive(*files: tuple[str, bytes]) -> io.BytesIO:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as made, warnings.catch_warnings(action="ignore"):
        for name, raw in files:
            made.writestr(name, raw)
    return packed
