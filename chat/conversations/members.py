"""The members of a conversation: who they are, and how they are added, changed and removed.

Each change locks the conversation first and checks the rights of who asks afterwards, so that of two owners who remove
each other at once the second finds that they are no longer a member. A conversation always has an owner.
"""

from __future__ import annotations

import uuid
from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

import redis
import structlog
from asgiref.sync import async_to_sync
from django.conf import settings
from django.db import transaction
from django.db.models import Case, QuerySet, Value, When
from django.utils.translation import gettext as _

from accounts.lib.texts import gettext_noop
from accounts.models import User
from chat.conversations.membership import check_may_write, member_of
from chat.eventlog import events, store
from chat.eventlog.share_events import recheck_shares_on_commit
from chat.eventlog.user_events import notify_conversation_listed
from chat.models import Conversation, Member, Role
from chat.moderation.matching.forms import folded
from chat.notifications.notify import Kind, notify_soon
from chat.protocol.commands import clean_controls
from chat.protocol.errors import Forbidden, Invalid, NotFound

MOST_MEMBERS: Final = 200
OWNERS_ONLY: Final = gettext_noop("Only owners of this conversation can change its members.")
UNKNOWN: Final = gettext_noop("Nobody with this address has an account here. You can send them a link to join instead.")

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Added:
    """A person who became a member of a conversation."""

    member: Member
    by: User | None  # None: staff


def list_members(user_id: uuid.UUID, conversation_id: uuid.UUID) -> list[dict[str, Any]]:
    """The members, owners first. Owners also see email addresses. `alike`: readers may take the name for another
    member's. Raises `NotFound`.
    """
    asking = member_of(user_id, conversation_id)
    found = list(members_of(conversation_id))
    alike = Counter(folded(member.user.display_name).text for member in found)
    shown = []
    for member in found:
        entry = events.member_dict(member) | {"you": member.user_id == user_id}
        if alike[folded(member.user.display_name).text] > 1:
            entry["alike"] = True
        if asking.role == Role.OWNER or member.user_id == user_id:
            entry["email"] = member.user.email
        shown.append(entry)
    return shown


def members_of(conversation_id: uuid.UUID) -> QuerySet[Member]:
    """Owners first, then editors, then viewers; each in the order in which they joined."""
    order = Case(When(role=Role.OWNER, then=Value(0)), When(role=Role.EDITOR, then=Value(1)), default=Value(2))
    return Member.objects.filter(conversation_id=conversation_id).select_related("user").order_by(order, "joined_at")


def add_member(
    actor_id: uuid.UUID | None, conversation_id: uuid.UUID, email: str, role: str, *, user_id: uuid.UUID | None = None
) -> Added:
    """Adds the person with this address, or with `user_id` (from the directory, so only where it is on).

    They can read the whole conversation from now on. `actor_id` is None for staff, whose permission was checked before.
    Raises `NotFound`, `Forbidden` unless the actor is an owner, `Suspended`, and `Invalid` with a sentence for them.
    """
    role = check_role(role)
    if actor_id is not None:
        check_may_write(actor_id)
    email = email.strip()
    if user_id is None and not email:
        raise Invalid(_("Enter an email address."))
    with transaction.atomic():
        conversation, actor = lock_as_owner(actor_id, conversation_id)
        person = _find_person(email, user_id)
        member = insert_member(conversation, person, role)
    publish_members(conversation)
    notify_added(member, conversation)
    notify_soon(member.user_id, Kind.ADDED, conversation.pk)
    return Added(member, actor.user if actor else None)


def _find_person(email: str, user_id: uuid.UUID | None) -> User:
    """Raises `Invalid`."""
    if user_id is not None and not settings.PEOPLE_DIRECTORY:
        raise Invalid(_("Enter an email address."))
    if clean_controls(email) != email:  # PostgreSQL stores no such character, and refuses to look for one
        raise Invalid(UNKNOWN)
    named = {"pk": user_id} if user_id is not None else {"email__iexact": email}
    person = joinable().filter(**named).first()
    if person is None:
        raise Invalid(UNKNOWN)
    return person


def change_role(actor_id: uuid.UUID | None, conversation_id: uuid.UUID, user_id: uuid.UUID, role: str) -> None:
    """Changes the role of a member, also to owner. Raises as `add_member` does."""
    role = check_role(role)
    with transaction.atomic():
        conversation, _ = lock_as_owner(actor_id, conversation_id)
        member = _find(conversation, user_id)
        if member.role == Role.OWNER and role != Role.OWNER:
            _check_other_owner(conversation, user_id)
        member.role = role
        member.save(update_fields=["role"])
        recheck_shares_on_commit([conversation_id])  # who may no longer share ends their links
    publish_members(conversation)


def remove_member(actor_id: uuid.UUID | None, conversation_id: uuid.UUID, user_id: uuid.UUID) -> None:
    """Ends a membership. The person's sockets stop to get events at once. Raises as `add_member` does."""
    with transaction.atomic():
        conversation, _owner = lock_as_owner(actor_id, conversation_id)
        member = _find(conversation, user_id)
        if user_id == actor_id:
            raise Invalid(_("To remove yourself, leave the conversation."))
        if member.role == Role.OWNER:
            _check_other_owner(conversation, user_id)
        member.delete()  # the signal notifies the person's sockets
    publish_members(conversation)
    _notify_unlisted(user_id, conversation_id)


def leave(user_id: uuid.UUID, conversation_id: uuid.UUID, successor_id: uuid.UUID | None = None) -> None:
    """Ends one's own membership. The last owner names who owns the conversation from then on.

    Raises `NotFound` and `Invalid`.
    """
    with transaction.atomic():
        conversation = _lock(conversation_id)
        member = member_of(user_id, conversation_id)
        others = Member.objects.filter(conversation=conversation).exclude(user_id=user_id)
        if not others.exists():
            raise Invalid(_("You are the only member. Delete the conversation instead."))
        if successor_id is not None:
            if member.role != Role.OWNER:
                raise Forbidden(OWNERS_ONLY)
            if not others.filter(user_id=successor_id, user__is_active=True).update(role=Role.OWNER):
                raise Invalid(_("Choose a member who will own the conversation."))
        if member.role == Role.OWNER and not others.filter(role=Role.OWNER).exists():
            raise Invalid(_("You are the only owner. Choose who will own the conversation before you leave."))
        member.delete()
    publish_members(conversation)
    _notify_unlisted(user_id, conversation_id)


def check_role(role: str) -> str:
    """Returns the role. Raises `Invalid` for an unknown one."""
    if role not in Role.values:
        raise Invalid(_("Choose a role: owner, editor or viewer."))
    return role


def joinable() -> QuerySet[User]:
    """People who can become members: their account is active."""
    return User.objects.filter(is_active=True, erase_at=None)


def lock_as_owner(actor_id: uuid.UUID | None, conversation_id: uuid.UUID) -> tuple[Conversation, Member | None]:
    """The conversation, locked until the transaction ends, and the actor's membership; None for staff.

    Raises `NotFound`, `Forbidden` unless the actor is an owner, and `Invalid` for a temporary conversation.
    """
    conversation = _lock(conversation_id)
    actor = member_of(actor_id, conversation_id, with_user=True) if actor_id else None
    if actor is not None and actor.role != Role.OWNER:
        raise Forbidden(OWNERS_ONLY)
    if conversation.temporary:
        raise Invalid(_("A temporary chat is for one person only. Start a conversation that is kept."))
    return conversation, actor


def insert_member(conversation: Conversation, person: User, role: str) -> Member:
    """Adds a row, in the transaction that has locked the conversation. Raises `Invalid`."""
    rows = Member.objects.filter(conversation=conversation)
    if rows.filter(user=person).exists():
        raise Invalid(_("%(display_name)s is already a member.") % {"display_name": person.display_name})
    if rows.count() >= MOST_MEMBERS:
        raise Invalid(_("A conversation can have at most %(most_members)s members.") % {"most_members": MOST_MEMBERS})
    return Member.objects.create(conversation=conversation, user=person, role=role)


def publish_members(conversation: Conversation) -> None:
    """Sends `members.changed` to every open tab. Without Redis, tabs see the change when they next load.

    Tabs that have the conversation open begin to show who is here: nobody is, while there is one member.
    """
    rows = list(members_of(conversation.pk))
    event = events.members_changed(conversation, rows)
    try:
        async_to_sync(_publish)(store.Append(conversation.pk, [event]), shared=len(rows) > 1)
    except (redis.RedisError, OSError) as error:
        logger.warning("members_not_published", error=type(error).__name__)


async def _publish(append: store.Append, *, shared: bool) -> None:
    await store.append(append)
    if shared:
        group = store.group_name(append.conversation_id)
        await store.channel_layer().group_send(group, {"type": "sharing.begun", "c": append.conversation_id.bytes})


def notify_added(member: Member, conversation: Conversation) -> None:
    """Puts the conversation into the lists that the new member's tabs show."""
    listing = {
        "conversation_id": str(conversation.pk),
        "title": conversation.title,
        "updated_at": conversation.updated_at.isoformat(),
        "temporary": False,
        "joined": True,
    }
    _notify(member.user_id, listing)


def _notify_unlisted(user_id: uuid.UUID, conversation_id: uuid.UUID) -> None:
    _notify(user_id, {"conversation_id": str(conversation_id), "deleted": True, "removed": True})


def _notify(user_id: uuid.UUID, listing: dict[str, Any]) -> None:
    try:
        async_to_sync(notify_conversation_listed)(user_id, listing)
    except (redis.RedisError, OSError) as error:
        logger.warning("notice_lost", kind="conversation.listed", error=type(error).__name__)


def _lock(conversation_id: uuid.UUID) -> Conversation:
    """Raises `NotFound`."""
    rows = Conversation.objects.select_for_update(no_key=True).filter(pk=conversation_id, deleted_at=None)
    found = rows.first()
    if found is None:
        raise NotFound
    return found


def _find(conversation: Conversation, user_id: uuid.UUID) -> Member:
    member = Member.objects.filter(conversation=conversation, user_id=user_id).first()
    if member is None:
        raise Invalid(_("This person is no longer a member."))
    return member


def _check_other_owner(conversation: Conversation, user_id: uuid.UUID) -> None:
    owners = Member.objects.filter(conversation=conversation, role=Role.OWNER).exclude(user_id=user_id)
    if not owners.exists():
        raise Invalid(_("A conversation needs an owner. Make somebody else an owner first."))
