"""Who may use what somebody owns and shares with groups: presets, prompts and collections of files."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from django.db.models import Exists, OuterRef, Q, QuerySet

from accounts.models import User

if TYPE_CHECKING:
    from chat.models.collections import Collection
    from chat.models.presets import Preset
    from chat.models.prompts import Prompt

    Shared = type[Preset | Prompt | Collection]


def own_or_shared(model: Shared, user_id: uuid.UUID) -> Q:
    """A user's own, and those of others in a group that it is shared with and that both are in.

    An owner who leaves the group or whose account is disabled no longer shares with it.
    """
    theirs = User.groups.through.objects.filter(user_id=user_id).values("group_id")
    links = links_of(model).filter(group__in=theirs, group__user=OuterRef("owner_id"))
    return Q(owner=user_id) | (Q(owner__is_active=True) & Q(Exists(links)))


def links_of(model: Shared) -> QuerySet[Any]:
    """The rows that join a row of `model` with its groups, as a subquery."""
    name = str(model._meta.model_name)  # noqa: SLF001  # Django documents it
    found: QuerySet[Any] = model.groups.through.objects.filter(**{name: OuterRef("pk")})
    return found
