"""Edits a message in place, or deletes it: no model is asked, and the message keeps its place in the tree.

A deleted message has no text; what follows it stays below it. The text from before is a `Revision`, which only staff
with a permission read. Everybody else gets the new text alone: the conversation's event log begins again under a new
epoch (`chat.moderation.rewriting`), so that no resume or replay has the old one. Quotas are not given back.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Final

from asgiref.sync import async_to_sync
from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.lib.texts import gettext_noop
from chat.conversations.changing import notify_members
from chat.conversations.membership import check_may_write, member_of
from chat.models import (
    ACTIVE,
    Conversation,
    Member,
    Mention,
    Message,
    MessageRole,
    Reasoning,
    Revision,
    RevisionKind,
    Role,
    Run,
)
from chat.models.conversations import title_from
from chat.moderation.rewriting import rewrite_message
from chat.moderation.screening import Refusal, check_not_withheld, refuse, screen_edit
from chat.protocol.commands import clean_controls, clean_text
from chat.protocol.errors import Busy, Conflict, Forbidden, Invalid, NotFound, TooLarge
from chat.runs.unread import judge_later
from chat.turns.mentioning import note_mentions, notify_mentioned, store_mentions

DELETED: Final = gettext_noop("This message was deleted.")
CHANGED: Final = gettext_noop("This message was changed meanwhile. Copy your text, reload the page and try again.")
WRITING: Final = gettext_noop("An answer is still being written here. Stop it, or wait until it has ended.")
NOT_YOURS: Final = gettext_noop("Only its author can edit this message.")
NO_ANSWER_OF_YOURS: Final = gettext_noop(
    "Only an owner of the conversation, or the person who asked for it, can change this answer."
)
NOT_YOURS_TO_DELETE: Final = gettext_noop("Only its author, or an owner of the conversation, can delete this message.")


def edit_message(user_id: uuid.UUID, message_id: uuid.UUID, text: str, seen: str | None = None) -> Message:
    """Gives a message another text; returns it as it is then. The same text changes nothing.

    A question is edited by its author, an answer by who asked for it or an owner. `seen` is the `edited_at` that the
    editor knows ("" for none): if it is another one by now, nothing is changed. The text is screened as if it was sent;
    a rule that holds or blocks it refuses the edit. Judges read it soon after. Raises `ChatError`s, `Conflict` when it
    was changed meanwhile.
    """
    try:
        with transaction.atomic():
            message, member = _lock(user_id, message_id)
            _check_may_edit(message, member)
            text = _clean(text, message)
            check_not_withheld(message)
            if seen is not None and seen != (message.edited_at.isoformat() if message.edited_at else ""):
                raise Conflict(CHANGED)
            if text == message.text:
                return message
            edited_at = timezone.now()
            stored, moderation = screen_edit(message, text, user_id)
            if message.role == MessageRole.ASSISTANT:
                moderation = moderation or message.moderation  # what the model wrote was masked, and is not all gone
            _keep(message, RevisionKind.EDITED, user_id, edited_at)
            rewrite_message(message.pk, stored, moderation)
            Message.objects.filter(pk=message.pk).update(edited_at=edited_at)
            judge_later(message.pk)
            if message.role == MessageRole.USER:
                _mention(message.pk)
            _announce_title(message)
    except Refusal as refusal:
        raise refuse(refusal, user_id, uuid.uuid5(message_id, f"{user_id} {text}")) from None
    return Message.objects.select_related("author").get(pk=message_id)


def delete_message(user_id: uuid.UUID, message_id: uuid.UUID) -> None:
    """Deletes a message of one's own, an answer that one asked for, or as an owner any message. Again: no change.

    Raises `ChatError`s, `Busy` while it, or the answer to it, is being written.
    """
    with transaction.atomic():
        message, member = _lock(user_id, message_id, again=True)
        if member.role != Role.OWNER and not _is_own(message, user_id):
            raise Forbidden(NOT_YOURS_TO_DELETE)
        if message.deleted_at is not None:
            return
        deleted_at = timezone.now()
        _keep(message, RevisionKind.DELETED, user_id, deleted_at)
        rewrite_message(message.pk, "", {}, reasoning="")
        Message.objects.filter(pk=message.pk).update(deleted_at=deleted_at, edited_at=None)
        _announce_title(message)


def check_not_deleted(message: Message) -> None:
    """Raises `Invalid` for a deleted message: it cannot be asked again."""
    if message.deleted_at is not None:
        raise Invalid(DELETED)


def _lock(user_id: uuid.UUID, message_id: uuid.UUID, *, again: bool = False) -> tuple[Message, Member]:
    """The message, with its conversation locked against turns, and the membership of a user who may write there.

    Raises `NotFound`, `Forbidden`, `Suspended`, `Busy`, and `Invalid` for a deleted message unless `again`.
    """
    conversation_id = Message.objects.filter(pk=message_id).values_list("conversation_id", flat=True).first()
    if conversation_id is None:
        raise NotFound
    member = member_of(user_id, conversation_id, write=True)
    check_may_write(user_id)
    Conversation.objects.select_for_update().filter(pk=conversation_id).first()
    message = (
        Message.objects.select_for_update(no_key=True, of=("self",))
        .filter(pk=message_id)
        .select_related("author")
        .first()
    )
    if message is None:  # the purge deleted it a moment ago
        raise NotFound
    if not again:
        check_not_deleted(message)
    if Run.objects.filter(message=message, status__in=ACTIVE).exists() or (
        message.role == MessageRole.USER and Run.objects.filter(prompt=message, status__in=ACTIVE).exists()
    ):
        raise Busy(WRITING)
    return message, member


def _is_own(message: Message, user_id: uuid.UUID) -> bool:
    """Whether the user wrote a message, or asked for an answer."""
    if message.role == MessageRole.USER:
        return message.author_id == user_id and not message.author_name
    return Run.objects.filter(message=message, requested_by=user_id).exists()


def _check_may_edit(message: Message, member: Member) -> None:
    """An owner cannot put words into another member's mouth, only delete them."""
    if message.role == MessageRole.USER:
        if not _is_own(message, member.user_id):
            raise Forbidden(NOT_YOURS)
    elif member.role != Role.OWNER and not _is_own(message, member.user_id):
        raise Forbidden(NO_ANSWER_OF_YOURS)


def _clean(text: str, message: Message) -> str:
    text = text.replace("\r\n", "\n")
    if message.role == MessageRole.USER:
        return clean_text(text)
    text = clean_controls(text)
    if len(text) > settings.ANSWER_MAX_CHARS:
        raise TooLarge(
            _("An answer can have at most %(answer_max_chars)s characters; this one has %(text)s.")
            % {"answer_max_chars": settings.ANSWER_MAX_CHARS, "text": len(text)}
        )
    if not text.strip():
        raise Invalid(_("The text is empty."))
    return text


def _announce_title(message: Message) -> None:
    """Shows the title in every open tab after the commit, if it was made of the words of the message before."""
    titled = title_from(message.text)
    conversation = Conversation.objects.get(pk=message.conversation_id)
    if message.parent_id is None and conversation.title != titled:
        conversation.title = conversation.title or _("Conversation")  # a name for what has none
        transaction.on_commit(lambda: notify_members(conversation), robust=True)


def _mention(message_id: uuid.UUID) -> None:
    """Marks whom the new text mentions. Members whom no earlier text of the message has mentioned are told of it."""
    message = Message.objects.select_related("author").get(pk=message_id)
    note_mentions(message)
    Message.objects.filter(pk=message_id).update(mentions=message.mentions)
    told_before = set(Mention.objects.filter(message=message_id).values_list("user", flat=True))
    if new := [person for person in store_mentions(message) if person not in told_before]:
        transaction.on_commit(lambda: async_to_sync(notify_mentioned)(message, new), robust=True)


def _keep(message: Message, kind: RevisionKind, user_id: uuid.UUID, at: datetime) -> None:
    """Keeps what a message said until now, for staff."""
    thoughts: list[str] = []
    if kind == RevisionKind.DELETED:
        thoughts = list(
            Reasoning.objects.filter(run__message=message).order_by("run__part").values_list("text", flat=True)
        )
    Revision.objects.create(
        message=message, kind=kind, text=message.text, reasoning="\n\n".join(thoughts), changed_by_id=user_id,
        changed_at=at,
    )  # fmt: skip
