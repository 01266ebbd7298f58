"""Who may see a file, and who may delete it.

| who                                   | see  | delete |
|---------------------------------------|------|--------|
| its owner                             | yes  | yes    |
| members of its conversation           | yes  | no     |
| who may use its collection            | yes  | no     |
| everybody else, and former members    | no   | no     |

Members see a file of a message that is neither deleted nor withheld by moderation, and not a file whose contents a rule
or judge withholds: that is its owner's alone until a reviewer releases it. An image is shown to others than its
owner once it was read, because its place is removed from it then. Readers of share links come by another way
(`chat.shares`), and staff by the admin.
"""

from __future__ import annotations

import uuid
from typing import Final

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.translation import gettext as _

from chat.files.collections import usable_collections
from chat.models import Attachment, File, FileKind, FileState, Member, ModerationCase, ModerationDecision
from chat.models.moderation import Action, CaseTarget, DecisionKind, Direction
from chat.protocol.errors import NotFound

_WITHHELD: Final = ("hold", "block", "withdrawn")
GONE: Final = "This file doesn't exist any more, or you don't have access to it."


def shown_in_messages() -> Q:
    """A condition on files: a message that readers see has it, and moderation does not withhold the file itself."""
    return Q(Exists(shown_attachments().filter(file=OuterRef("pk")))) & ~withheld()


def shown_attachments() -> QuerySet[Attachment]:
    """What joins files with messages that readers see: neither deleted, nor withheld by moderation."""
    untouched = Q(message__moderation__action__isnull=True)
    shown = untouched | ~Q(message__moderation__action__in=_WITHHELD)
    return Attachment.objects.filter(shown, message__deleted_at=None)


def unread_images() -> Q:
    """A condition on files: images that were not read yet, whose place may still be in them."""
    return Q(blob__kind=FileKind.IMAGE, blob__state=FileState.PENDING)


def withheld() -> Q:
    """A condition on files: a rule or a judge withholds the contents, and no reviewer has released them."""
    released = ModerationDecision.objects.filter(case=OuterRef("pk"), kind=DecisionKind.RELEASE)
    cases = ModerationCase.objects.filter(
        ~Q(Exists(released)), person=OuterRef("owner"), target=CaseTarget.FILE, target_id=OuterRef("pk"),
        direction=Direction.FILES, action__in=(Action.HOLD, Action.BLOCK),
    )  # fmt: skip
    return Q(Exists(cases))


def seen_by(user_id: uuid.UUID) -> QuerySet[File]:
    """The files that a user may see."""
    member = Member.objects.filter(
        conversation=OuterRef("conversation"), user=user_id, conversation__deleted_at=None
    )  # fmt: skip
    shared = Q(collection__in=usable_collections(user_id))
    return File.objects.select_related("blob").filter(
        Q(owner=user_id) | (Q(Exists(member)) & shown_in_messages() | shared & ~withheld()) & ~unread_images()
    )


def visible_file(user_id: uuid.UUID, file_id: uuid.UUID) -> File:
    """Raises `NotFound`, whether there is no such file or the user may not see it."""
    file = seen_by(user_id).filter(pk=file_id).first()
    if file is None:
        raise NotFound(_(GONE))
    return file


def may_see(user_id: uuid.UUID, file_id: uuid.UUID) -> bool:
    """Whether the user may (still) see a file."""
    return seen_by(user_id).filter(pk=file_id).exists()


def own_file(user_id: uuid.UUID, file_id: uuid.UUID, *, lock: bool = False) -> File:
    """Raises `NotFound`, also for another person's. A `lock` keeps its content until the transaction is over."""
    rows = File.objects.select_related("blob", "conversation")
    if lock:
        rows = rows.select_for_update(of=("self",), no_key=True)
    file = rows.filter(pk=file_id, owner=user_id).first()
    if file is None:
        raise NotFound(_(GONE))
    return file
