"""Which tool servers a person may use."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db.models import Q, QuerySet

from accounts.models import User
from chat.models import ServerKind, ToolServer


def servers_of(user: User) -> QuerySet[ToolServer]:
    """The enabled servers that this user may use: staff's, unless they are limited to other groups, and their own."""
    return servers_of_id(user.pk)


def servers_of_id(user_id: uuid.UUID | None) -> QuerySet[ToolServer]:
    """`servers_of` by the user's id; None: those that everybody may use."""
    staffs = Q(owner=None) & (Q(limited=False) | Q(groups__user=user_id)) if user_id else Q(owner=None, limited=False)
    own = Q(owner=user_id) if user_id and settings.TOOL_SERVERS_OF_USERS else Q(pk__in=[])
    return ToolServer.objects.filter(staffs | own, existing(), enabled=True).distinct()


def existing() -> Q:
    """Servers that can be used at all: one in a child process only while the settings have it."""
    return ~Q(kind=ServerKind.MCP_STDIO) | Q(slug__in=list(settings.TOOL_SERVERS_STDIO))
