"""The parameters of a conversation: what they are, where they come from, and how members change them.

A conversation has values of its own, which it copied from its preset when it started. A value that is empty, or the
same as the preset's, counts as the default, as long as the member may still choose that preset.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any, Final

from django.db import transaction
from django.utils.translation import gettext as _

from chat.conversations.membership import WRITERS, member_of
from chat.conversations.publishing import publish_setting
from chat.models import Conversation, Instructions, Member, Preset
from chat.models.moderation import CaseTarget, Direction
from chat.moderation.screening import screen_field
from chat.protocol.errors import Invalid
from chat.protocol.parameters import MAX_ANSWER_TOKENS, MAX_PROMPT_CHARS, MAX_TEMPERATURE, read_parameter

NAMES: Final = ("system_prompt", "temperature", "max_tokens", "effort")
EMPTY: Final = ("", None)
LIMITS: Final = {
    "system_prompt": MAX_PROMPT_CHARS, "temperature": MAX_TEMPERATURE, "max_tokens": MAX_ANSWER_TOKENS,
}  # fmt: skip

FindPreset = Callable[[uuid.UUID, uuid.UUID], Preset | None]
"""A preset (its id is the second one) that a user may choose; None: it is gone, or not theirs any more."""


def read_parameters(user_id: uuid.UUID, conversation_id: uuid.UUID, find_preset: FindPreset) -> dict[str, Any]:
    """What the page shows a member: the own `values` (None: the default), the `defaults` of the preset, and more.

    Viewers may not change anything, and are not shown the system prompt. Raises `NotFound`.
    """
    member = member_of(user_id, conversation_id)
    preset = _preset_of(member.conversation, user_id, find_preset)
    return _describe(member, member.conversation, preset)


def read_defaults(user_id: uuid.UUID, preset: Preset | None) -> dict[str, Any]:
    """The same for a conversation that has not begun, and may begin with a preset."""
    defaults = _defaults_of(preset)
    return _page(user_id, dict.fromkeys(NAMES), defaults, preset, may_change=True, temporary=False)


def change_parameters(
    user_id: uuid.UUID, conversation_id: uuid.UUID, given: Mapping[str, str], find_preset: FindPreset
) -> dict[str, Any]:
    """Changes the parameters that are named in `given`, which count from the next answer on, and tells every open tab.

    An empty value is the default of the conversation's preset, which is copied again. Returns what `read_parameters`
    does. Raises `NotFound`, `Forbidden`, `Invalid`, `TooLarge` and `Moderated`.
    """
    unknown = set(given) - set(NAMES)
    if unknown or not given:
        raise Invalid(_("There is no such parameter.") if unknown else _("Nothing is to be changed."))
    wanted = {name: read_parameter(name, text) for name, text in given.items()}
    if wanted.get("system_prompt"):
        member_of(user_id, conversation_id, write=True)
        wanted["system_prompt"] = screen_field(
            wanted["system_prompt"], user_id, CaseTarget.PRESET, conversation_id, direction=Direction.ASKED,
            conversation_id=conversation_id, longest=MAX_PROMPT_CHARS,
        )  # fmt: skip
    with transaction.atomic():
        member = member_of(user_id, conversation_id, write=True)
        conversation = Conversation.objects.select_for_update(no_key=True).get(pk=conversation_id)
        preset = _preset_of(conversation, user_id, find_preset)
        defaults = _defaults_of(preset)
        for name, value in wanted.items():
            setattr(conversation, name, defaults[name] if value in EMPTY else value)
        conversation.save(update_fields=[*wanted])
    publish_setting(conversation, "parameters")
    return _describe(member, conversation, preset)


def is_changed(conversation: Conversation) -> bool:
    """Whether a conversation has values of its own. One query more, if it has a preset."""
    defaults = _defaults_of(conversation.preset)
    return any(getattr(conversation, name) not in (*EMPTY, defaults[name]) for name in NAMES)


def _preset_of(conversation: Conversation, user_id: uuid.UUID, find_preset: FindPreset) -> Preset | None:
    return find_preset(user_id, conversation.preset_id) if conversation.preset_id else None


def _describe(member: Member, conversation: Conversation, preset: Preset | None) -> dict[str, Any]:
    defaults = _defaults_of(preset)
    values = {name: getattr(conversation, name) for name in NAMES}
    own = {name: None if value in EMPTY or value == defaults[name] else value for name, value in values.items()}
    may_change = member.role in WRITERS
    if not may_change:
        own |= {"system_prompt": None}
        defaults |= {"system_prompt": ""}
    shown = _page(member.user_id, own, defaults, preset, may_change=may_change, temporary=conversation.temporary)
    return {**shown, "has_system_prompt": bool(conversation.system_prompt)}


def _page(
    user_id: uuid.UUID,
    own: dict[str, Any],
    defaults: dict[str, Any],
    preset: Preset | None,
    *,
    may_change: bool,
    temporary: bool,
) -> dict[str, Any]:
    instructed = Instructions.objects.filter(user_id=user_id, enabled=True).exclude(text="").exists()
    return {
        "values": own,
        "defaults": defaults,
        "preset": preset.name if preset else "",
        "may_change": may_change,
        "limits": LIMITS,
        "instructions": "temporary" if instructed and temporary else "on" if instructed else "off",
    }


def _defaults_of(preset: Preset | None) -> dict[str, Any]:
    """What a conversation has that nobody changes: the preset's values; without one those of the site and the model,
    which are empty.
    """
    return {
        "system_prompt": preset.system_prompt if preset else "",
        "temperature": preset.temperature if preset else None,
        "max_tokens": preset.max_tokens if preset else None,
        "effort": preset.effort if preset else "",
    }
