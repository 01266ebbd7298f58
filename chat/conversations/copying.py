"""Copies a path of messages into a new conversation of one person's own.

The copy belongs to whoever makes it, and to nobody else: other authors' names stay as text. Withheld and deleted texts
are not copied. What the answers cost is not copied either: they were paid for once.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import redis
import structlog
from asgiref.sync import async_to_sync
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.lib.ids import uuid7
from accounts.lib.texts import gettext_noop
from accounts.models import User
from chat.conversations.branches import path_ids
from chat.conversations.copying_files import copy_files, copy_uses
from chat.conversations.copying_steps import copy_steps
from chat.conversations.membership import check_may_write, member_of
from chat.eventlog.user_events import notify_conversation_listed
from chat.models import (
    ACTIVE,
    Conversation,
    Member,
    Message,
    MessageRole,
    MessageStatus,
    Reasoning,
    Role,
    Run,
    RunStatus,
    Unjudged,
)
from chat.models.moderation import Action
from chat.moderation.screening import WITHHELD, titles_made_of
from chat.protocol.errors import Busy, NotFound, TooLarge
from chat.runs.unread import judge_later

MOST_COPIED: Final = 20_000  # messages
MAX_TITLE: Final = 200
WRITING: Final = gettext_noop("This answer is still being written. Copy the conversation when it has ended.")
UNWRITTEN: Final = (MessageStatus.PENDING, MessageStatus.STREAMING)
_SETTINGS: Final = ("model", "temperature", "max_tokens", "effort")
_OF_RUN: Final = (
    *("model", "endpoint", "effort", "parameters", "status", "heard_chars", "produced_chars", "finish"),
    *("error_code", "error_message", "reasoning_tokens", "reasoning_ms", "context_window", "context_dropped"),
    *("first_token_ms", "first_reasoning_ms", "total_ms", "step_count", "created_at", "started_at", "finished_at"),
)

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Rules:
    """What a copy has beside the texts. `names`: of other authors, else they are "Somebody". `prompt`: the system
    prompt and the preset.
    """

    names: bool = True
    thinking: bool = True
    prompt: bool = True


def fork(user_id: uuid.UUID, message_id: uuid.UUID) -> Conversation:
    """Copies the path up to a message into a new conversation, which the user owns. Any member can, also a viewer.

    Raises `NotFound`, `Suspended`, `Busy` while the message is being written, and `TooLarge`.
    """
    source_id = Message.objects.filter(pk=message_id).values_list("conversation_id", flat=True).first()
    if source_id is None:
        raise NotFound
    member = member_of(user_id, source_id, with_user=True)
    check_may_write(user_id)
    rules = Rules(prompt=member.role != Role.VIEWER)  # viewers are not shown the system prompt
    return copy_path(member.conversation, message_id, member.user, rules)


def copy_path(source: Conversation, leaf_id: uuid.UUID, owner: User, rules: Rules = Rules()) -> Conversation:
    """Copies the path that ends at a message into a new conversation of `owner`, and puts it into their lists.

    The caller has checked that `owner` may read it. Times and thinking are kept, a temporary conversation stays
    temporary, and its age counts from now. Raises as `fork`.
    """
    title = _("%(title)s (copy)") % {"title": source.title[: MAX_TITLE - 10]} if source.title else ""
    with transaction.atomic():
        path, unread = _read_path(source.pk, leaf_id)
        copy = Conversation(
            title=title[:MAX_TITLE],
            written_title=title[:MAX_TITLE] if _is_made(source, path) else "",
            temporary=source.temporary,
            system_prompt=source.system_prompt if rules.prompt else "",
            preset_id=source.preset_id if rules.prompt else None,
            updated_at=timezone.now(),
            **{name: getattr(source, name) for name in _SETTINGS},
        )
        copy.save(force_insert=True)
        if rules.prompt:
            copy.collections.set(source.collections.all())  # each answer asks again which ones its asker may use
        Member.objects.create(conversation=copy, user=owner, role=Role.OWNER)
        messages = _copy_messages(copy, path, owner, rules)
        _judge_copies(path, messages, unread)
        files = copy_files(copy, {one.pk: made for one, made in zip(path, messages, strict=True)}, owner)
        _copy_runs(copy, path, messages, files, thinking=rules.thinking)
        copy.tip = messages[-1]
        copy.save(update_fields=["tip"])
    _notify(owner.pk, copy)
    return copy


def _read_path(source_id: uuid.UUID, leaf_id: uuid.UUID) -> tuple[list[Message], set[uuid.UUID]]:
    """The path, and the messages of it that judges have not read: those are found first, so that a text is either among
    them, or was read before.
    """
    ids = path_ids(source_id, leaf_id, limit=MOST_COPIED + 1)
    if len(ids) > MOST_COPIED:
        raise TooLarge(_("At most %(most_copied)s messages can be copied.") % {"most_copied": MOST_COPIED})
    unread = set(Unjudged.objects.filter(message__in=ids).values_list("message_id", flat=True))
    unread |= set(Run.objects.filter(prompt__in=ids, status__in=ACTIVE).values_list("prompt_id", flat=True))
    found = Message.objects.select_related("author", "api_request").in_bulk(ids)
    path = [found[pk] for pk in ids if pk in found]
    if not path:
        raise NotFound
    if any(message.status in UNWRITTEN for message in path):
        raise Busy(WRITING)
    return path, unread


def _is_made(source: Conversation, path: Sequence[Message]) -> bool:
    """Whether the title was made of the texts of the path, by a model or of their first words: if those are withheld
    from the copy, its title goes, too.
    """
    if not source.title:
        return False
    asked = (message for message in path if message.role == MessageRole.USER)
    return source.title == source.written_title or any(source.title in titles_made_of(message) for message in asked)


def _copy_messages(copy: Conversation, path: Sequence[Message], owner: User, rules: Rules) -> list[Message]:
    copies: list[Message] = []
    for message in path:
        withheld = message.moderation.get("action") in WITHHELD
        gone = not _is_shown(message)
        moderation = {**message.moderation, "action": Action.BLOCK.value} if withheld else message.moderation
        copies.append(
            Message(
                id=uuid7(),
                conversation=copy,
                parent=copies[-1] if copies else None,
                role=message.role,
                author=message.author,
                author_name=_name(message, owner, rules),
                text="" if gone else message.text,
                html="" if gone else message.html,
                status=message.status,
                moderation={} if moderation.get("action") == "release" else moderation,
                created_at=message.created_at,
                edited_at=message.edited_at,
                deleted_at=message.deleted_at,
                file_count=0 if gone else message.file_count,
            )
        )
    Message.objects.bulk_create(copies, batch_size=1_000)
    return copies


def _judge_copies(path: Sequence[Message], copies: Sequence[Message], unread: Collection[uuid.UUID]) -> None:
    """What no judge has read yet is judged in the copy, too: it may be withheld from the original only."""
    for message, copy in zip(path, copies, strict=True):
        if message.pk in unread and copy.text:
            judge_later(copy.pk)


def _is_shown(message: Message) -> bool:
    return message.deleted_at is None and message.moderation.get("action") not in WITHHELD


def _name(message: Message, owner: User, rules: Rules) -> str:
    """The name of an author who is no member of the copy; empty where `author` says it."""
    if message.role != "user" or message.author_id == owner.pk:
        return ""
    known = message.author_name or (message.author.display_name if message.author else "")
    return known if known and rules.names else _("Somebody")


def _copy_runs(
    copy: Conversation,
    path: Sequence[Message],
    copies: Sequence[Message],
    files: Mapping[uuid.UUID, uuid.UUID],
    *,
    thinking: bool,
) -> None:
    """The run that ended each answer, without usage and without who asked: no work of the copy's owner."""
    placed = {message.pk: number for number, message in enumerate(path)}
    runs = Run.objects.filter(message__in=placed, latest=True)
    thought: dict[uuid.UUID, str] = {}
    if thinking:
        kept = [pk for pk in placed if path[placed[pk]].deleted_at is None]
        thought = dict(Reasoning.objects.filter(run__message__in=kept, run__latest=True).values_list("run", "text"))
    made: list[Run] = []
    stepped: dict[uuid.UUID, Run] = {}
    reasoning: list[Reasoning] = []
    for run in runs:
        number = placed[run.message_id]
        if number == 0:
            continue  # an answer without a question
        copied = Run(
            conversation=copy,
            prompt=copies[number - 1],
            message=copies[number],
            ended_in_log=True,
            reasoning_chars=len(thought.get(run.pk, "")),
            **{name: getattr(run, name) for name in _OF_RUN},
        )
        assert copied.status not in (RunStatus.WAITING, RunStatus.QUEUED, RunStatus.RUNNING)  # its message has ended
        made.append(copied)
        if _is_shown(path[number]):
            stepped[run.pk] = copied
        if text := thought.get(run.pk):
            reasoning.append(Reasoning(run=copied, text=text))
    Run.objects.bulk_create(made, batch_size=1_000)
    Reasoning.objects.bulk_create(reasoning, batch_size=1_000)
    copy_steps(stepped)
    copy_uses(stepped, files)


def _notify(user_id: uuid.UUID, copy: Conversation) -> None:
    listing = {
        "conversation_id": str(copy.pk),
        "title": copy.title,
        "updated_at": copy.updated_at.isoformat(),
        "temporary": copy.temporary,
    }
    try:
        async_to_sync(notify_conversation_listed)(user_id, listing)
    except (redis.RedisError, OSError) as error:
        logger.warning("notice_lost", kind="conversation.listed", error=type(error).__name__)
