"""Conversations from elsewhere become a person's own: read whole, checked, then saved one by one.

A file is somebody's, so nothing in it is trusted: what does not fit is refused with a sentence that names the place,
one conversation at a time, and what is saved is saved whole. Ids come from the file's ids and the person (UUIDv5), so
importing a file again adds nothing.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import IO, Final

from django.db import transaction
from django.utils import timezone

from accounts.models import User
from chat.markdown import render
from chat.models import Conversation, Member, Message, MessageRole, MessageStatus, Role
from chat.portability import formats
from chat.portability.archive import MAX_BYTES, ImportRefusedError, read_documents
from chat.portability.formats import ImportedConversation, ImportedMessage

MAX_MESSAGES: Final = 20_000  # of one conversation
MAX_TEXT: Final = 1_000_000  # characters of one message
MAX_CHARACTERS: Final = 50_000_000  # of one conversation


@dataclass(frozen=True)
class ImportOutcome:
    """How one conversation went: `new`, `known`, or `refused`, and then why."""

    kind: str
    place: str
    messages: int = 0
    why: str = ""


def read_file(file: Path | IO[bytes], *, most: int = MAX_BYTES) -> list[ImportedConversation]:
    """The conversations in a file, JSON or an archive of it, `most` bytes unpacked. Those that cannot be say why.

    Raises `ImportRefusedError` when it is no export that we know, whole; `OSError` when it cannot be read at all.
    """
    chats: list[ImportedConversation] = []
    for name, data in read_documents(file, most=most):
        chats += formats.read_chats(name, data)
    for chat in chats:
        if not chat.wrong:
            try:
                _take_turns(chat)
            except ImportRefusedError as error:
                chat.wrong = str(error)
        chat.title = " ".join(_clean(chat.title).split())[:200]
    return chats


def import_chats(user: User, chats: list[ImportedConversation], *, dry_run: bool = False) -> Iterator[ImportOutcome]:
    """Saves each, or only says what would become of it."""
    for chat in chats:
        if chat.wrong:
            yield ImportOutcome("refused", chat.place, why=chat.wrong)
            continue
        made = not _is_here(user, chat) and (dry_run or save_chat(user, chat))
        yield ImportOutcome("new" if made else "known", chat.place, len(chat.messages))


def save_chat(user: User, chat: ImportedConversation) -> bool:
    """Makes the conversation, all of it or nothing; False when it is there already, also in the trash."""
    conversation_id = _id(user, chat)
    ids = {said.id: uuid.uuid5(conversation_id, said.id) for said in chat.messages}
    with transaction.atomic():
        moment = chat.messages[0].at or timezone.now()
        # `created_at` is the time of the import, so that retention (chat.retention.periods) counts from here.
        conversation, made = Conversation.objects.get_or_create(pk=conversation_id, defaults={"title": chat.title})
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
                    author=user if asked and said.mine else None,
                    text=said.text,
                    html="" if asked else render(said.text),
                    status=MessageStatus.COMPLETE,
                    created_at=moment,
                )
            )
        Message.objects.bulk_create(rows, batch_size=500)
        conversation.tip_id = ids[chat.tip] if chat.tip else rows[-1].pk
        conversation.updated_at = min(moment, timezone.now())
        conversation.save(update_fields=["tip", "updated_at"])
    return True


def _is_here(user: User, chat: ImportedConversation) -> bool:
    """Whether it was imported before, or never went away: an export of ours can be read back for what is missing."""
    if chat.native:
        with contextlib.suppress(ValueError):
            if Member.objects.filter(user=user, conversation_id=uuid.UUID(chat.id)).exists():
                return True
    return Conversation.objects.filter(pk=_id(user, chat)).exists()


def _id(user: User, chat: ImportedConversation) -> uuid.UUID:
    return uuid.uuid5(user.pk, chat.id)


# --- the tree --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Turn:
    """What one side says before the other does: nodes in a row, made one message. `before` is the row so far."""

    last: ImportedMessage
    above: str | None
    before: _Turn | None = None

    @property
    def text(self) -> str:
        parts: list[str] = []
        at: _Turn | None = self
        while at is not None:
            parts.append(at.last.text)
            at = at.before
        return "\n\n".join(reversed(parts))


def _take_turns(chat: ImportedConversation) -> None:
    """Leaves people's and models' messages, parents first, in turns: each hangs below one of the other side.

    What is not shown (tools, instructions) goes, and what hung below it moves up. Where one side has several nodes in a
    row they become one message, so that every path of the file is one of the conversation. Raises `ImportRefusedError`
    for a tree that is none.
    """
    if len(chat.messages) > MAX_MESSAGES:
        raise ImportRefusedError(f"It has more than {MAX_MESSAGES} messages.")
    nodes = {said.id: replace(said, text=_clean(said.text).strip()) for said in chat.messages}
    if len(nodes) < len(chat.messages):
        raise ImportRefusedError("Two messages in it have the same id.")
    children: dict[str | None, list[ImportedMessage]] = {}
    for said in nodes.values():
        children.setdefault(said.parent if said.parent in nodes else None, []).append(said)
    kept: dict[str, ImportedMessage] = {}
    turns: dict[str, str] = {}  # of each node, the last one of its turn
    size = 0
    waiting: list[tuple[ImportedMessage, _Turn | None]] = [(said, None) for said in reversed(children.get(None, []))]
    while waiting:
        said, turn = waiting.pop()
        if _speaks(said):
            goes_on = turn is not None and turn.last.role == said.role
            above = (turn.above if goes_on else turn.last.id) if turn else None
            turn = _Turn(said, above, turn if goes_on else None)
        turns[said.id] = turn.last.id if turn else ""
        below = children.get(said.id, [])
        waiting += [(child, turn) for child in reversed(below)]
        # A turn is over where nothing is below it, or the other side speaks.
        if turn is None or turn.last.id in kept:
            continue
        if not below or any(_speaks(child) and child.role != turn.last.role for child in below):
            text = turn.text
            size += len(text)
            if len(text) > MAX_TEXT:
                raise ImportRefusedError(f"A message in it has more than {MAX_TEXT} characters: {turn.last.id}.")
            if size > MAX_CHARACTERS:
                raise ImportRefusedError(f"It has more than {MAX_CHARACTERS} characters.")
            kept[turn.last.id] = replace(turn.last, parent=turn.above, text=text)
    if lost := next((name for name in nodes if name not in turns), None):
        raise ImportRefusedError(f"Messages in it are their own ancestors, such as {lost}.")
    if not kept:
        raise ImportRefusedError("There is no message in it.")
    chat.messages = list(kept.values())
    tip = turns.get(chat.tip or "", "")
    chat.tip = tip if tip in kept else None


def _speaks(said: ImportedMessage) -> bool:
    return said.role in MessageRole.values and bool(said.text)


def _clean(text: str) -> str:
    """Without what PostgreSQL and UTF-8 cannot hold: NUL, halves of characters."""
    return text.replace("\x00", "").encode(errors="replace").decode()
