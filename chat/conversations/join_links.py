"""Links by which people with an account become members of a conversation.

The secret of a link is 256 random bits after its `#`, which browsers do not send to any server; a hash is stored. Only
owners create and revoke links. A link stops to work when whoever created it is no longer an owner.
"""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.lib.formatting import grouped
from accounts.lib.link_secrets import hash_of, new_secret
from accounts.lib.texts import gettext_noop
from accounts.models import User
from chat.conversations.members import OWNERS_ONLY, insert_member, lock_as_owner, notify_added, publish_members
from chat.conversations.membership import check_may_write, member_of
from chat.models import Conversation, JoinLink, Member, Role
from chat.protocol.errors import Forbidden, Invalid, NotFound

MOST_LINKS: Final = 20  # that work at once, of one conversation
MOST_DAYS: Final = 90
MOST_USES: Final = 1000
GONE: Final = gettext_noop("This link has expired, was revoked or was used up. Ask for a new one.")


def create_link(
    actor_id: uuid.UUID, conversation_id: uuid.UUID, *, role: str, days: int, most_uses: int | None
) -> tuple[JoinLink, str]:
    """Creates a link; returns it and its secret, which cannot be read again.

    Raises `NotFound`, `Forbidden` unless the actor is an owner, `Suspended` and `Invalid`.
    """
    check_may_write(actor_id)
    if role not in (Role.EDITOR, Role.VIEWER):
        raise Invalid(_("A link can make people editors or viewers."))
    if not 1 <= days <= MOST_DAYS:
        raise Invalid(_("A link can be valid for 1 to %(most_days)s days.") % {"most_days": MOST_DAYS})
    if most_uses is not None and not 1 <= most_uses <= MOST_USES:
        raise Invalid(_("A link can be used 1 to %(most_uses)s times.") % {"most_uses": grouped(MOST_USES)})
    secret, token_hash = new_secret()
    with transaction.atomic():
        conversation, _member = lock_as_owner(actor_id, conversation_id)
        if working_links().filter(conversation=conversation).count() >= MOST_LINKS:
            raise Invalid(
                _("A conversation can have at most %(most_links)s links. Revoke one first.")
                % {"most_links": MOST_LINKS}
            )
        link = JoinLink.objects.create(
            conversation=conversation,
            token_hash=token_hash,
            role=role,
            created_by_id=actor_id,
            expires_at=timezone.now() + timedelta(days=days),
            most_uses=most_uses,
        )
    return link, secret


def list_links(actor_id: uuid.UUID, conversation_id: uuid.UUID) -> list[dict[str, Any]]:
    """The links that work, newest first; none for a member who is no owner. Raises `NotFound`."""
    if member_of(actor_id, conversation_id).role != Role.OWNER:
        return []
    links = working_links().filter(conversation_id=conversation_id).select_related("created_by")
    return [link_dict(link) for link in links.order_by("-created_at")]


def link_dict(link: JoinLink) -> dict[str, Any]:
    """A link as owners see it."""
    return {
        "id": str(link.pk),
        "role": link.role,
        "expires_at": link.expires_at.isoformat(),
        "uses": link.uses,
        "most_uses": link.most_uses,
        "by": link.created_by.display_name if link.created_by else "",
    }


def revoke_link(actor_id: uuid.UUID, conversation_id: uuid.UUID, link_id: uuid.UUID) -> None:
    """The link no longer works; who joined by it stays. Raises `NotFound` and `Forbidden`."""
    if member_of(actor_id, conversation_id).role != Role.OWNER:
        raise Forbidden(OWNERS_ONLY)
    link = JoinLink.objects.filter(pk=link_id, conversation_id=conversation_id, revoked_at=None).first()
    if link is None:
        raise NotFound
    revoke(link)


def revoke(link: JoinLink) -> None:
    """The link no longer works."""
    JoinLink.objects.filter(pk=link.pk, revoked_at=None).update(revoked_at=timezone.now())


def find_link(secret: str) -> JoinLink | None:
    """The working link with this secret."""
    return find_link_by_hash(hash_of(secret))


def find_link_by_hash(token_hash: str) -> JoinLink | None:
    """As `find_link`, by the hash of the secret."""
    return working_links().select_related("conversation", "created_by").filter(token_hash=token_hash).first()


def join(user: User, token_hash: str) -> Conversation:
    """Makes the user a member by a link and counts its use. For a member nothing changes, and nothing is counted.

    Raises `Invalid`, or `Suspended`, with a sentence for the user.
    """
    found = find_link_by_hash(token_hash)
    if found is None:
        raise Invalid(GONE)
    if Member.objects.filter(conversation=found.conversation_id, user=user).exists():
        return found.conversation
    check_may_write(user.pk)
    with transaction.atomic():
        # The conversation is locked before its links, as everywhere.
        conversation = Conversation.objects.select_for_update(no_key=True).get(pk=found.conversation_id)
        locked = working_links(timezone.now()).select_for_update(of=("self",)).filter(pk=found.pk).first()
        if locked is None:
            raise Invalid(GONE)
        member = insert_member(conversation, user, locked.role)
        JoinLink.objects.filter(pk=found.pk).update(uses=F("uses") + 1)
    publish_members(conversation)
    notify_added(member, conversation)
    return conversation


def working_links(now: datetime | None = None) -> QuerySet[JoinLink]:
    """Links that are neither revoked, expired nor used up, of conversations that exist and of people who own them."""
    owner = Member.objects.filter(
        conversation=OuterRef("conversation"), user=OuterRef("created_by"), role=Role.OWNER, user__is_active=True
    )
    return JoinLink.objects.filter(
        Q(most_uses=None) | Q(uses__lt=F("most_uses")),
        Exists(owner),
        revoked_at=None,
        expires_at__gt=now or timezone.now(),
        conversation__deleted_at=None,
    )
