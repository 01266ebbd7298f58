"""Finds where a command's message and answer go in a conversation, and locks that conversation for the transaction."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from typing import Final

import msgspec
from django.db.models import Q
from django.utils.translation import gettext as _

from accounts.features import TEMPORARY_OFF, WEB_SEARCH_OFF, is_on
from accounts.lib.ids import uuid7
from accounts.lib.texts import gettext_noop
from accounts.models import User
from accounts.models.site import Feature
from chat.catalog.presets import choose_preset
from chat.conversations.folders import folder_of
from chat.conversations.membership import WRITERS, member_of
from chat.conversations.organising import TEMPORARY
from chat.models import Conversation, Member, Message, MessageRole, MessageStatus, Run, RunStatus, WaitingFor
from chat.moderation.screening import check_not_withheld, screen_system_prompt
from chat.protocol.commands import MessageEdit, MessageSend, NewTurn
from chat.protocol.errors import Busy, Forbidden, Invalid, NotFound
from chat.turns.asking import answer_under_way, asks_in, asks_in_new_conversation, check_answer_above, edit_asks
from chat.turns.changing import check_not_deleted
from chat.turns.comparing import Choice, choose_by_sending, place_of_retry
from chat.turns.knowledge import begin_with_collections
from chat.turns.statements import PlaceRow, begin_conversation, lock_place, lock_sender, sender, usual_model

FOLLOWED: Final = gettext_noop(
    "Only answers can be regenerated, and the model asked about the last message of a branch."
)
WAITS: Final = gettext_noop("The answer before is waiting for a decision about a tool. Decide, or stop it.")
HELD: Final = gettext_noop("The message before is waiting for a reviewer. Withdraw it, or wait for the decision.")
_WAITS_FOR: Final = {WaitingFor.MODERATION.value: HELD, WaitingFor.APPROVAL.value: WAITS}


@dataclass(slots=True)
class Place:
    """Where a command's message and answer go. With a `prompt` the question exists already and gets another answer."""

    conversation_id: uuid.UUID
    title: str
    model: str  # the conversation's own; empty where it has none
    author: User
    metered: bool  # quotas apply to the author
    parent_id: uuid.UUID | None = None
    prompt: Message | None = None
    temporary: bool = False
    choice: Choice | None = None  # the message chooses the answer it follows, of several side by side
    slot: int = 0  # of another answer among several side by side
    asks: bool = True  # a model is asked
    named_model: str = ""  # the one that the text names

    @property
    def followed(self) -> list[uuid.UUID]:
        """The messages whose readers go with the turn: the one it is below, and those beside an answer it chooses."""
        if self.prompt is not None:
            return [self.prompt.pk]
        if self.choice is not None:
            return list(Message.objects.filter(parent=self.choice.prompt_id).values_list("pk", flat=True))
        return [self.parent_id] if self.parent_id else []


def find_place(user_id: uuid.UUID, command: NewTurn) -> Place:
    """The place of a command. A new conversation is inserted here. Raises `ChatError`s."""
    if isinstance(command, MessageSend):
        return _new_conversation(user_id, command) if command.conversation_id is None else _below(user_id, command)
    if isinstance(command, MessageEdit):
        edited, member = _lock_message(user_id, command.message_id, MessageRole.USER)
        check_not_deleted(edited)
        place = _beside(edited.conversation, member.user, parent_id=edited.parent_id)
        place.asks = edit_asks(user_id, command, edited.conversation)
        if place.asks:
            check_answer_above(edited.parent_id)
        return place
    answer, member = _lock_message(user_id, command.message_id, None)
    if answer.role == MessageRole.USER:
        return _unanswered(answer, member)
    if answer.parent is None:
        raise Invalid(_("This answer has no question."))
    place = _beside(answer.conversation, member.user, prompt=answer.parent)
    place.slot, model = place_of_retry(answer)
    check_not_withheld(answer.parent)
    check_not_deleted(answer.parent)
    place.model = model or place.model
    return place


def _unanswered(question: Message, member: Member) -> Place:
    """The place of an answer to a message that asked nobody so far. Raises `Invalid` if something follows it."""
    if Message.objects.filter(parent_id=question.pk).exists():
        raise Invalid(FOLLOWED)
    check_not_withheld(question)
    check_not_deleted(question)
    check_answer_above(question.pk)
    return _beside(question.conversation, member.user, prompt=question)


def _new_conversation(user_id: uuid.UUID, command: MessageSend) -> Place:
    if command.parent_id is not None:
        raise Invalid(_("A new conversation has no message to reply to."))
    named = command.model or (command.models[0] if command.models else None)
    preset = choose_preset(user_id, command.preset_id, named) if command.preset_id else None
    if command.temporary and not is_on(Feature.TEMPORARY):
        raise Forbidden(TEMPORARY_OFF)
    if command.options is not None and command.options.web_search and not is_on(Feature.WEB_SEARCH):
        raise Forbidden(WEB_SEARCH_OFF)
    if command.folder_id and command.temporary:
        raise Invalid(TEMPORARY)
    folder = folder_of(user_id, command.folder_id) if command.folder_id else None
    conversation_id, options = uuid7(), command.options
    if options is not None and options.system_prompt:
        screened = screen_system_prompt(options.system_prompt, user_id, conversation_id)
        options = msgspec.structs.replace(options, system_prompt=screened)
    author, metered = begin_conversation(
        user_id, conversation_id, temporary=command.temporary, preset=preset, options=options, folder=folder
    )  # fmt: skip
    begin_with_collections(user_id, conversation_id, options.collections if options else None, preset, folder)
    asks = asks_in_new_conversation(command)
    return Place(
        conversation_id, "", usual_model(preset, folder), author, metered, temporary=command.temporary,
        asks=asks.anybody,
    )  # fmt: skip


def _below(user_id: uuid.UUID, command: MessageSend) -> Place:
    """Below the parent that the command names, or below the conversation's newest message."""
    assert command.conversation_id is not None
    if command.temporary:
        raise Invalid(_("Only a new conversation can be made temporary."))
    if command.preset_id:
        raise Invalid(_("Only a new conversation can be given a preset."))
    if command.folder_id:
        raise Invalid(_("Only a new conversation begins in a folder. Move this one there."))
    found = lock_place(user_id, command.conversation_id, command.parent_id)
    if found is None:
        raise NotFound
    if found.member_role not in WRITERS:
        raise Forbidden
    if found.parent_id is None and found.wanted_id is not None:
        raise NotFound
    asks = asks_in(user_id, command, command.conversation_id, found.answers, found.members)
    if asks.anybody:
        _check_free(found)
    elif found.answer_under_way and found.parent_id is not None:
        found = replace(found, parent_id=answer_under_way(found.parent_id))
    choice = choose_by_sending(found.comparison_id, command.parent_id) if found.comparison_id else None
    return Place(
        command.conversation_id,
        found.title,
        choice.model if choice else found.model,
        sender(user_id, found.user_name, found.user_email),
        found.metered,
        choice.message_id if choice else found.parent_id,
        temporary=found.temporary,
        choice=choice,
        asks=asks.anybody,
        named_model=asks.model,
    )


def _check_free(found: PlaceRow) -> None:
    """Raises `Busy` while the answer that a question would follow is in progress."""
    if found.answer_under_way or found.parent_status in (MessageStatus.PENDING, MessageStatus.STREAMING):
        raise Busy(_WAITS_FOR.get(_waits_for(found), ""))
    if found.parent_role == MessageRole.USER:
        check_answer_above(found.parent_id)


def _waits_for(found: PlaceRow) -> str:
    """What the answer in progress waits for: a reviewer of its question, or a decision about a tool. Empty: neither."""
    waiting = Run.objects.filter(Q(message=found.parent_id) | Q(prompt=found.parent_id), status=RunStatus.WAITING)
    return waiting.values_list("waiting_for", flat=True).first() or ""


def _beside(
    conversation: Conversation, author: User, *, parent_id: uuid.UUID | None = None, prompt: Message | None = None
) -> Place:
    """A second version of a message or an answer that is there already."""
    return Place(
        conversation.pk, conversation.title, conversation.model, author, lock_sender(author.pk), parent_id, prompt,
        temporary=conversation.temporary,
    )  # fmt: skip


def _lock_message(user_id: uuid.UUID, message_id: uuid.UUID, role: MessageRole | None) -> tuple[Message, Member]:
    """A message of a conversation the user may write in, with the conversation locked against other turns."""
    conversation_id = Message.objects.filter(pk=message_id).values_list("conversation_id", flat=True).first()
    if conversation_id is None:
        raise NotFound
    member = member_of(user_id, conversation_id, write=True, with_user=True)
    Conversation.objects.select_for_update().filter(pk=conversation_id).first()
    rows = Message.objects.select_related("conversation", "author", "parent", "parent__author")
    message = rows.filter(pk=message_id).first()
    if message is None:  # the purge deleted it a moment ago
        raise NotFound
    if role is not None and message.role != role:
        raise Invalid(_("Only your own messages can be edited."))
    return message, member
