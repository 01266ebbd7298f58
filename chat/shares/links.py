"""Share links: created, listed, found and revoked.

The secret of a link is 256 random bits in its address; a hash is stored. A link works only as long as whoever created
it may still create one: an account that is active and not suspended, a role that may share, a conversation that exists.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.features import share_rule
from accounts.lib.link_secrets import hash_of, new_secret
from accounts.lib.texts import gettext_noop
from accounts.models import User
from chat.conversations.membership import check_may_write, member_of
from chat.eventlog.share_events import recheck_shares_on_commit
from chat.models import Conversation, Member, Role, ShareAudience, ShareKind, ShareLink
from chat.protocol.errors import Forbidden, Invalid, NotFound
from chat.shares.frozen import freeze

MOST_LINKS: Final = 50  # that work at once, of one conversation
USUAL_DAYS: Final = 30
CHOICES_OF_DAYS: Final = (1, 7, 30, 90, 365)
SHORTEST_PASSWORD: Final = 8
LONGEST_PASSWORD: Final = 200
TEMPORARY: Final = gettext_noop("A temporary chat cannot be shared: it is not kept. Start a conversation that is kept.")
REFUSED: Final = gettext_noop("You cannot share this conversation. Ask one of its owners.")
OFF: Final = gettext_noop("Share links are switched off on this site.")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a new link is to be. `message_id`: the last message of a snapshot; None is the newest one."""

    kind: str = ShareKind.SNAPSHOT.value
    audience: str = ShareAudience.USERS.value
    password: str = ""
    days: int = USUAL_DAYS
    show_names: bool = True
    show_reasoning: bool = False
    show_tools: bool = False
    show_files: bool = False
    message_id: uuid.UUID | None = None


def sharing_roles() -> tuple[str, ...]:
    """The roles of members who may create share links."""
    by_setting = {"off": (), "owners": (Role.OWNER.value,), "editors": (Role.OWNER.value, Role.EDITOR.value)}
    return by_setting[share_rule()]


def offered_audiences() -> list[str]:
    """The audiences that this site allows."""
    return [one for one in ShareAudience.values if one != ShareAudience.ANYONE or settings.SHARE_WITH_ANYONE]


def create_share(actor_id: uuid.UUID, conversation_id: uuid.UUID, wanted: Wanted) -> tuple[ShareLink, str]:
    """Creates a link; returns it and its secret, which cannot be read again.

    Raises `NotFound`, `Forbidden`, `Suspended`, `Invalid`, and `Busy` for a snapshot of an answer in progress.
    """
    _check(wanted)
    secret, token_hash = new_secret()
    with transaction.atomic():
        conversation = _lock(conversation_id)
        _check_may_share(actor_id, conversation_id)
        check_may_write(actor_id)
        if conversation.temporary:
            raise Invalid(TEMPORARY)
        if working_shares().filter(conversation=conversation).count() >= MOST_LINKS:
            raise Invalid(
                _("A conversation can have at most %(most_links)s share links. Revoke one first.")
                % {"most_links": MOST_LINKS}
            )
        now = timezone.now()
        is_snapshot = wanted.kind == ShareKind.SNAPSHOT
        link = ShareLink.objects.create(
            conversation=conversation,
            token_hash=token_hash,
            kind=wanted.kind,
            audience=wanted.audience,
            password=make_password(wanted.password) if wanted.audience == ShareAudience.PASSWORD else "",
            title=conversation.title if is_snapshot else "",
            show_names=wanted.show_names,
            show_reasoning=wanted.show_reasoning,
            show_tools=wanted.show_tools,
            show_files=wanted.show_files,
            created_by_id=actor_id,
            created_at=now,
            expires_at=now + timedelta(days=wanted.days),
        )
        if is_snapshot:
            freeze(link, wanted.message_id or conversation.tip_id)
    return link, secret


def _check(wanted: Wanted) -> None:
    """Raises `Invalid`."""
    if wanted.kind not in ShareKind.values:
        raise Invalid(_("Choose a snapshot or a live link."))
    if wanted.audience not in offered_audiences():
        raise Invalid(_("Choose who can open the link."))
    if wanted.days not in CHOICES_OF_DAYS:
        raise Invalid(_("Choose how long the link works."))
    if wanted.audience == ShareAudience.PASSWORD and not (
        SHORTEST_PASSWORD <= len(wanted.password) <= LONGEST_PASSWORD
    ):
        raise Invalid(
            _("Choose a password of %(shortest_password)s to %(longest_password)s characters.")
            % {"shortest_password": SHORTEST_PASSWORD, "longest_password": LONGEST_PASSWORD}
        )


def _check_may_share(actor_id: uuid.UUID, conversation_id: uuid.UUID) -> None:
    """Raises `NotFound` and `Forbidden`."""
    role = member_of(actor_id, conversation_id).role
    if share_rule() == "off":
        raise Forbidden(OFF)
    if role not in sharing_roles():
        raise Forbidden(REFUSED)


def _lock(conversation_id: uuid.UUID) -> Conversation:
    """Raises `NotFound`."""
    rows = Conversation.objects.select_for_update(no_key=True).filter(pk=conversation_id, deleted_at=None)
    if (found := rows.first()) is None:
        raise NotFound
    return found


def list_shares(actor_id: uuid.UUID, conversation_id: uuid.UUID) -> list[dict[str, Any]]:
    """The links of a conversation that work, newest first: for owners all of them, for others their own.

    Raises `NotFound`.
    """
    role = member_of(actor_id, conversation_id).role
    links = working_shares().filter(conversation_id=conversation_id).select_related("created_by")
    if role != Role.OWNER:
        links = links.filter(created_by=actor_id)
    return [share_dict(link) for link in links.order_by("-created_at")]


def share_dict(link: ShareLink) -> dict[str, Any]:
    """A link as its conversation's owners see it."""
    return {
        "id": str(link.pk),
        "kind": link.kind,
        "audience": link.audience,
        "show_names": link.show_names,
        "show_reasoning": link.show_reasoning,
        "show_tools": link.show_tools,
        "show_files": link.show_files,
        "created_at": link.created_at.isoformat(),
        "expires_at": link.expires_at.isoformat(),
        "views": link.views,
        "by": link.created_by.display_name,
    }


def revoke_share(actor_id: uuid.UUID, link_id: uuid.UUID) -> ShareLink:
    """The link no longer works, and who watches by it is cut off. For whoever created it, and for owners.

    Raises `NotFound`.
    """
    owned = Member.objects.filter(conversation=OuterRef("conversation"), user=actor_id, role=Role.OWNER)
    mine = Q(created_by=actor_id) | Exists(owned)
    link = ShareLink.objects.filter(mine, pk=link_id, revoked_at=None).first()
    if link is None:
        raise NotFound
    revoke(link)
    return link


def revoke(link: ShareLink) -> None:
    """The link no longer works, and who watches by it is cut off."""
    ShareLink.objects.filter(pk=link.pk, revoked_at=None).update(revoked_at=timezone.now())
    recheck_shares_on_commit([link.conversation_id])


def find_share(secret: str) -> ShareLink | None:
    """The working link with this secret. Equally fast for one that never was, has expired, or was revoked."""
    rows = working_shares().select_related("conversation", "created_by")
    return rows.filter(token_hash=hash_of(secret)).first()


def count_view(link: ShareLink) -> None:
    """Somebody has opened the link."""
    ShareLink.objects.filter(pk=link.pk).update(views=F("views") + 1, viewed_at=timezone.now())


def working_shares(now: datetime | None = None) -> QuerySet[ShareLink]:
    """The links by which people may read now."""
    now = now or timezone.now()
    may_share = Member.objects.filter(
        Q(user__suspended_until=None) | Q(user__suspended_until__lte=now),
        conversation=OuterRef("conversation"),
        user=OuterRef("created_by"),
        role__in=sharing_roles(),
        user__is_active=True,
    )
    return ShareLink.objects.filter(
        Exists(may_share),
        audience__in=offered_audiences(),
        revoked_at=None,
        expires_at__gt=now,
        conversation__deleted_at=None,
        conversation__temporary=False,
    )


def recheck_shares_of(user_id: uuid.UUID) -> None:
    """A user's account was suspended, disabled or enabled: who watches by their links is cut off if it has to be."""
    links = ShareLink.objects.filter(created_by=user_id, revoked_at=None, expires_at__gt=timezone.now())
    recheck_shares_on_commit(links.values_list("conversation_id", flat=True))


def recheck_shares_of_changed(users: list[User], **_: Any) -> None:
    """For the signal `users_changed`."""
    for user in users:
        recheck_shares_of(user.pk)
