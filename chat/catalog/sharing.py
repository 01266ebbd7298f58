"""Who may use a preset or a prompt: staff's, a user's own, and what others share with the groups that both are in."""

from __future__ import annotations

import uuid

from django.db.models import Exists, Q

from accounts.models import User
from chat.models import Preset, Prompt
from chat.models.sharing import links_of
from chat.models.sharing import own_or_shared as own_or_shared


def groups_of(user_id: uuid.UUID) -> set[int]:
    """The ids of a user's groups."""
    return set(User.groups.through.objects.filter(user_id=user_id).values_list("group_id", flat=True))


def staffs(model: type[Preset | Prompt], user_id: uuid.UUID) -> Q:
    """Those of staff that are for everyone, or for a group of this user."""
    links = links_of(model)
    return Q(owner=None) & (Q(~Exists(links)) | Q(Exists(links.filter(group__user=user_id))))
