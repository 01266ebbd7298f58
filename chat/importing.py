"""Conversations from elsewhere: our own export, ChatGPT's conversations.json, Open WebUI's chat export.

The file is somebody's, so nothing in it is trusted: what does not fit is refused with a sentence, one conversation at a
time. Ids come from the file's ids and the person (UUIDv5), so importing a file again adds nothing.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.db import transaction
from django.utils import timezone

from accounts.models import User
from chat.dossier import FORMAT
from chat.markdown import render
from chat.models import Conversation, Member, Message, MessageRole, MessageStatus, Role

MAX_MESSAGES: Final = 20_000  # of one conversation
MAX_TEXT: Final = 1_000_000  # characters of one message


class ImportRefusedError(Exception):
    """One sentence on what is wrong with the file, or with a conversation in it."""


@dataclass(frozen=True)
class Said:
    """A message; `parent` is another's `id`, or None for a first one."""

    id: str
    parent: str | None
    role: str
    text: str
    at: datetime | None


@dataclass
class Chat:
    """A conversation as it will be. `wrong` is why it cannot be."""

    id: str
    title: str
    messages: list[Said] = field(default_factory=list)
    tip: str | None = None
    wrong: str = ""


def read_chats(raw: bytes) -> list[Chat]:
    """The conversations in a file. Raises `ImportRefusedError` when it is no export that we know."""
    try:
        data = json.loads(raw)
    except (ValueError, RecursionError):
        raise ImportRefusedError("This is not JSON, or it is cut off.") from None
    if isinstance(data, dict) and data.get("format") == FORMAT:
        if data.get("version") != 1:
            raise ImportRefusedError("This export was made by a newer version.")
        return [_read(_from_ours, one) for one in _list(data.get("conversations"))]
    rows = _list(data)
    if rows and all(isinstance(one, dict) and "mapping" in one for one in rows):
        return [_read(_from_chatgpt, one) for one in rows]
    if rows and all(isinstance(one, dict) and isinstance(one.get("chat"), dict) for one in rows):
        return [_read(_from_open_webui, one) for one in rows]
    raise ImportRefusedError("This is no export of Antiphon, ChatGPT (conversations.json) or Open WebUI.")


def save_chat(user: User, chat: Chat) -> bool:
    """Makes the conversation, all of it or nothing; False when it is there already. Raises `ImportRefusedError`."""
    if chat.wrong:
        raise ImportRefusedError(chat.wrong)
    conversation_id = uuid.uuid5(user.pk, chat.id)
    ids = {said.id: uuid.uuid5(conversation_id, said.id) for said in chat.messages}
    with transaction.atomic():
        moment = chat.messages[0].at or timezone.now()
        conversation, made = Conversation.objects.get_or_create(
            pk=conversation_id, defaults={"title": chat.title, "created_at": moment}
        )
        if not made:
            return False
        Member.objects.create(conversation=conversation, user=user, role=Role.OWNER)
        rows = []
        for said in chat.messages:
            # Later than the one before, also where the file does not say: siblings are shown by time.
            moment = max(said.at or moment, moment + timedelta(microseconds=1))
            asked = said.role == MessageRole.USER
            rows.append(
                Message(
                    id=ids[said.id],
                    conversation=conversation,
                    parent_id=ids[said.parent] if said.parent else None,
                    role=said.role,
                    author=user if asked else None,
                    text=said.text,
                    html="" if asked else render(said.text),
                    status=MessageStatus.COMPLETE,
                    created_at=moment,
                )
            )
        Message.objects.bulk_create(rows, batch_size=500)
        conversation.tip_id = ids[chat.tip] if chat.tip in ids else rows[-1].pk
        conversation.updated_at = moment
        conversation.save(update_fields=["tip", "updated_at"])
    return True


# --- formats ---------------------------------------------------------------------------------------------------------


def _read(reader: Any, one: Any) -> Chat:
    try:
        chat: Chat = reader(one)
        chat.messages = _in_order(chat.messages)
    except ImportRefusedError as error:
        return Chat("", "", wrong=str(error))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return Chat("", "", wrong="It is not built as its format says.")
    chat.title = " ".join(chat.title.replace("\x00", "").split())[:200]
    return chat


def _from_ours(one: Any) -> Chat:
    messages = [
        Said(m["id"], m["parent_id"], m["role"], m["text"], datetime.fromisoformat(m["created_at"]))
        for m in _list(one["messages"])
    ]
    return Chat(_text(one["id"]), _text(one["title"]), messages, one.get("tip"))


def _from_chatgpt(one: Any) -> Chat:
    nodes = {}
    for key, node in one["mapping"].items():
        message = node.get("message") or {}
        content = message.get("content") or {}
        parts = content.get("parts") or [content.get("text") or ""]
        text = "\n\n".join(part for part in parts if isinstance(part, str))
        role = (message.get("author") or {}).get("role", "")
        nodes[key] = Said(key, node.get("parent"), role, text, _moment(message.get("create_time")))
    name = one.get("conversation_id") or one.get("id") or next(iter(nodes), "")
    return Chat(_text(name), _text(one.get("title") or ""), list(nodes.values()), one.get("current_node"))


def _from_open_webui(one: Any) -> Chat:
    history = one["chat"]["history"]
    messages = [
        Said(key, m.get("parentId"), m["role"], m.get("content") or "", _moment(m.get("timestamp")))
        for key, m in history["messages"].items()
    ]
    title = one.get("title") or one["chat"].get("title") or ""
    return Chat(_text(one["id"]), _text(title), messages, history.get("currentId"))


# --- what is kept ----------------------------------------------------------------------------------------------------


def _in_order(messages: list[Said]) -> list[Said]:
    """People's and models' messages, parents first, each under its nearest ancestor that is kept.

    Raises `ImportRefusedError` for a tree that is none.
    """
    if len(messages) > MAX_MESSAGES:
        raise ImportRefusedError(f"It has more than {MAX_MESSAGES} messages.")
    by_id = {said.id: said for said in messages}
    children: dict[str | None, list[Said]] = {}
    for said in messages:
        children.setdefault(said.parent if said.parent in by_id else None, []).append(said)
    kept, seen = [], 0
    waiting: list[tuple[Said, str | None]] = [(said, None) for said in reversed(children.get(None, []))]
    while waiting:
        said, above = waiting.pop()
        seen += 1
        text = _text(said.text).replace("\x00", "").encode(errors="replace").decode()
        if len(text) > MAX_TEXT:
            raise ImportRefusedError(f"A message in it has more than {MAX_TEXT} characters.")
        if said.role in MessageRole.values and text.strip():
            kept.append(Said(said.id, above, said.role, text, said.at))
            above = said.id
        waiting += [(child, above) for child in reversed(children.get(said.id, []))]
    if seen != len(messages):
        raise ImportRefusedError("Messages in it are their own ancestors.")
    if not kept:
        raise ImportRefusedError("There is no message in it.")
    return kept


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ImportRefusedError("This is no export of Antiphon, ChatGPT (conversations.json) or Open WebUI.")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


def _moment(seconds: Any) -> datetime | None:
    """Seconds since 1970; what is no time of this century is none."""
    if not isinstance(seconds, int | float) or not 946_684_800 < seconds < 4_102_444_800:
        return None
    return datetime.fromtimestamp(seconds, UTC)


def import_chats(user: User, chats: list[Chat]) -> Iterator[str]:
    """Saves each and says how it went: `new`, `known`, or why not."""
    for chat in chats:
        try:
            yield "new" if save_chat(user, chat) else "known"
        except ImportRefusedError as error:
            yield str(error)
