"""Which tool servers a person may use, and what changes with them."""

from __future__ import annotations

import uuid
from typing import Any

from django.conf import settings
from django.db.models import Q, QuerySet

from accounts.lib.urls import split_url
from accounts.models import User
from chat.models import KnownTool, ServerKind, ToolApproval, ToolPolicy, ToolServer


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


def accept_tools(tools: QuerySet[KnownTool]) -> int:
    """Takes tools that their server changed or added as they are now, and turns them on; how many."""
    return tools.exclude(changed_at=None).update(enabled=True, changed_at=None, earlier=None)


def forget_server(sender: type[ToolServer], instance: ToolServer, **_: Any) -> None:
    """Removes what goes by the name of a server that is deleted, so that no other server inherits a permission."""
    KnownTool.objects.filter(server=instance.slug).delete()
    ToolApproval.objects.filter(server=instance.slug).delete()
    ToolPolicy.objects.filter(server=instance.slug).delete()


def forget_log_ins(server: ToolServer) -> None:
    """Deletes people's log-ins at a server whose address changed: their tokens are for the earlier one."""
    server.connections.all().delete()


def origin_of(url: str) -> str:
    """Scheme, host and port: the server that secrets are sent to."""
    try:
        parts = split_url(url.strip())
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2].lower()}"
