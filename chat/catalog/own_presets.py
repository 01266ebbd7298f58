"""A user's own presets: made from a conversation's parameters, or duplicated."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Final

from accounts.lib.ids import uuid7
from accounts.lib.texts import gettext_noop
from accounts.models import User
from chat.catalog.access import models_of
from chat.catalog.own_items import free_name, store
from chat.catalog.screened_items import screen_item
from chat.models import Collection, Preset
from chat.protocol.commands import clean_controls
from chat.protocol.errors import Invalid, NotFound

NOT_OFFERED: Final = gettext_noop("This model is not available to you. Choose another one.")
MAX_NAME: Final = 80


def save_as_preset(
    user: User, name: str, *, description: str = "", model: str = "", system_prompt: str = "",
    temperature: float | None = None, max_tokens: int | None = None, effort: str = "", starters: Sequence[str] = (),
    tools: Sequence[str] | None = None,
) -> Preset:  # fmt: skip
    """Makes a preset of the user's own, shared with nobody.

    Raises `Invalid` with a sentence: for values that a preset cannot have, a name that the user has given already, a
    model that is not offered to the user, and beyond `MAX_OWN_PRESETS`; and `Moderated`.
    """
    if model and model not in [one["id"] for one in models_of(user.pk)]:
        raise Invalid(NOT_OFFERED)
    preset = Preset(
        owner=user, name=clean_controls(name).strip(), description=clean_controls(description).strip(), model=model,
        system_prompt=clean_controls(system_prompt), temperature=temperature, max_tokens=max_tokens, effort=effort,
        starters=[clean_controls(one) for one in starters], tools=None if tools is None else list(tools),
    )  # fmt: skip
    screen_item(preset)
    return store(preset)


def duplicate_preset(user: User, preset_id: uuid.UUID) -> Preset:
    """Makes a copy of the user's own preset, shared with nobody.

    Raises `NotFound` for another's and for one that staff disabled, and `Invalid` beyond the limit.
    """
    preset = Preset.objects.filter(owner=user, pk=preset_id, disabled_by_staff=False).first()
    if preset is None:
        raise NotFound
    names = set(Preset.objects.filter(owner=user).values_list("name", flat=True))
    preset.pk, preset._state.adding = uuid7(), True  # noqa: SLF001  # how Django documents copies
    preset.name = free_name(preset.name, names, MAX_NAME)
    copy = store(preset)
    copy.collections.set(Collection.objects.filter(presets=preset_id))
    return copy
