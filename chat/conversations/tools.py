"""Which tools models may call in a conversation: the members' choice, or those that are on by default."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any, Protocol

import msgspec
from django.db import transaction
from django.utils.translation import gettext as _

from chat.conversations.membership import WRITERS, member_of
from chat.conversations.publishing import publish_setting
from chat.eventlog.own_tools import description_of, title_of
from chat.models import Conversation, Preset, ToolServer
from chat.protocol.commands import ChosenTools
from chat.protocol.errors import Invalid
from chat.runs.tool_switch import tools_stopped


class AnyTool(Protocol):
    """A tool as `chat.catalog.tools.OfferedTool` has it."""

    @property
    def key(self) -> str: ...
    @property
    def server(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def description(self) -> str: ...
    @property
    def effect(self) -> str: ...
    @property
    def by_default(self) -> bool: ...


def read_tools(user_id: uuid.UUID, conversation_id: uuid.UUID, offered: Sequence[AnyTool]) -> dict[str, Any]:
    """What the page shows a member: the tools that models may call for them, and which are on. Raises `NotFound`."""
    member = member_of(user_id, conversation_id)
    conversation = member.conversation
    return describe_tools(offered, conversation.tools, conversation.preset, may_change=member.role in WRITERS)


def change_tools(
    user_id: uuid.UUID, conversation_id: uuid.UUID, given: str, offered: Sequence[AnyTool]
) -> dict[str, Any]:
    """Chooses the tools of a conversation from the next answer on, and tells every open tab.

    `given`: a JSON list of keys of `OfferedTool`; empty: those of the preset, else those that are on by default. Tools
    of other members that this one cannot use stay as they are. Returns what `read_tools` does. Raises `NotFound`,
    `Forbidden` and `Invalid`.
    """
    wanted = _read(given)
    known = {tool.key for tool in offered}
    with transaction.atomic():
        member = member_of(user_id, conversation_id, write=True)
        conversation = Conversation.objects.select_for_update(no_key=True).get(pk=conversation_id)
        before = conversation.tools or []
        if wanted is not None:
            if unknown := [key for key in wanted if key not in known and key not in before]:
                raise Invalid(_("There is no tool “%(0)s”.") % {"0": unknown[0]})
            wanted += [key for key in before if key not in known and key not in wanted]
        elif conversation.preset is not None:
            wanted = conversation.preset.tools
        conversation.tools = wanted
        conversation.save(update_fields=["tools"])
    publish_setting(conversation, "tools")
    return describe_tools(offered, conversation.tools, conversation.preset, may_change=member.role in WRITERS)


def _read(given: str) -> list[str] | None:
    """Raises `Invalid`."""
    if not given:
        return None
    try:
        return list(dict.fromkeys(msgspec.json.decode(given.encode(), type=ChosenTools)))
    except (msgspec.DecodeError, UnicodeEncodeError):
        raise Invalid(_("Send the tools as a list of names.")) from None


def describe_tools(
    offered: Sequence[AnyTool],
    chosen: Sequence[str] | None = None,
    preset: Preset | None = None,
    *,
    may_change: bool = True,
) -> dict[str, Any]:
    """The tools and which are on, also for a conversation that has not begun. `stopped`: the sentence for people while
    staff have stopped all tools. `preset` names the preset, if it says which tools are on; `usual` are these, null:
    those that are on by default. `missing`: how many of the chosen ones this user cannot use.
    """
    usual = preset.tools if preset else None
    keys = {tool.key for tool in offered}
    stopped = tools_stopped()
    titles = dict(ToolServer.objects.filter(slug__in={tool.server for tool in offered}).values_list("slug", "title"))
    return {
        "chosen": chosen,
        "usual": usual,
        "preset": preset.name if preset and usual is not None else "",
        "missing": 0 if stopped else sum(key not in keys for key in chosen or ()),
        "may_change": may_change,
        "stopped": stopped,
        "tools": [_tool(tool, chosen) | {"server_title": titles.get(tool.server, tool.server)} for tool in offered],
    }


def _tool(tool: AnyTool, chosen: Sequence[str] | None) -> dict[str, Any]:
    return {
        "key": tool.key,
        "server": tool.server,
        "title": title_of(tool.server, tool.name, tool.title),
        "description": description_of(tool.server, tool.name, tool.description),
        "effect": tool.effect,
        "by_default": tool.by_default,
        "on": tool.by_default if chosen is None else tool.key in chosen,
    }
