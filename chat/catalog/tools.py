"""The tools that models may call for a user."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Final

from cachetools import TTLCache, cached

from accounts.features import is_on
from accounts.models import User
from accounts.models.site import Feature
from chat.catalog.tool_servers import servers_of_id
from chat.models import KnownTool, ToolPolicy
from chat.runs.approval_facts import policies_for
from chat.runs.tool_rules import applying_policy
from chat.runs.tool_switch import tools_stopped

SEARCH_WEB: Final = "search_web"
READ_PAGE: Final = "read_page"
CACHED_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class OfferedTool:
    """A tool as pages show it. `key` is how a conversation names it (`Conversation.tools`): `name`, for a server's
    tool `server/name`. `rule` is staff's (`ToolPolicy`), or the tool's own where they have none.
    """

    key: str
    server: str
    name: str
    title: str
    description: str
    effect: str
    rule: str
    outside: bool
    by_default: bool
    parameters: Mapping[str, Any] = field(default_factory=dict)


def offered_tools(user: User) -> list[OfferedTool]:
    """The tools that models may call for this user, our own first. Empty while staff have stopped all tools."""
    return tools_of(user.pk)


def tools_of(
    user_id: uuid.UUID, servers: Sequence[str] | None = None, *, search: bool | None = None
) -> list[OfferedTool]:
    """`offered_tools` by the user's id. `servers`: the slugs of those that they may use; `search`: whether the site
    lets models search the web. Both are looked up where they are not known.
    """
    if tools_stopped() is not None:
        return []
    usable = _servers_of(user_id) if servers is None else servers
    rows = KnownTool.objects.filter(enabled=True, gone_at=None, server__in=["", *usable])
    policies = policies_for(user_id)
    if not (is_on(Feature.WEB_SEARCH) if search is None else search):
        rows = rows.exclude(server="", name=SEARCH_WEB)
    found = []
    for row in rows.order_by("server", "name"):
        policy = applying_policy(policies, row.server, row.name)
        rule = policy.rule if policy is not None else row.approval
        if rule != ToolPolicy.Rule.OFF:
            found.append(
                OfferedTool(
                    str(row),
                    row.server,
                    row.name,
                    row.title,
                    row.description,
                    row.effect,
                    rule,
                    row.outside,
                    row.by_default,
                    row.parameters,
                )
            )
    return found


def _servers_of(user_id: uuid.UUID) -> Sequence[str]:
    """The slugs of the tool servers that the user may use."""
    return list(servers_of_id(user_id).values_list("slug", flat=True))


def is_search_offered(user_id: uuid.UUID) -> bool:
    """Whether the web can be searched for this user: a search provider is set up (as of a few seconds ago), and no
    policy forbids it.
    """
    return has_search() and any(tool.key == SEARCH_WEB for tool in tools_of(user_id))


@cached(TTLCache(1, ttl=CACHED_SECONDS), lock=Lock())
def has_search() -> bool:
    """Whether this site can search the web, for whomever."""
    return KnownTool.objects.filter(server="", name=SEARCH_WEB, enabled=True, gone_at=None).exists()
