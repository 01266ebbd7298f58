"""Who may use a preset or a prompt: staff's, a user's own, and what others share with the groups that both are in."""

from __future__ import annotations

import uuid
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet

from accounts.models import User
from chat.models import Preset, Prompt


def groups_of(user_id: uuid.UUID) -> set[int]:
    """The ids of a user's groups."""
    return set(User.groups.through.objects.filter(user_id=user_id).values_list("group_id", flat=True))


def staffs(model: type[Preset | Prompt], user_id: uuid.UUID) -> Q:
    """Those of staff that are for everyone, or for a group of this user."""
    links = _links(model)
    return Q(owner=None) & (Q(~Exists(links)) | Q(Exists(links.filter(group__user=user_id))))


def own_or_shared(model: type[Preset | Prompt], user_id: uuid.UUID) -> Q:
    """A user's own, and those of others in a group that it is shared with and that both are in.

    An owner who leaves the group or whose account is disabled no longer shares with it.
    """
    theirs = User.groups.through.objects.filter(user_id=user_id).values("group_id")
    links = _links(model).filter(group__in=theirs, group__user=OuterRef("owner_id"))
    return Q(owner=user_id) | (Q(owner__is_active=True) & Q(Exists(links)))


def _links(model: type[Preset | Prompt]) -> QuerySet[Any]:
    name = str(model._meta.model_name)  # noqa: SLF001  # Django documents it
    found: QuerySet[Any] = model.groups.through.objects.filter(**{name: OuterRef("pk")})
    return found
