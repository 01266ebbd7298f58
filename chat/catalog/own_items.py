"""What a user's own presets, prompts and collections have in common: how they are checked and stored, and how many
there may be.
"""

from __future__ import annotations

from collections.abc import Collection as Names
from typing import Final, TypeVar

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from accounts.lib.texts import gettext_noop
from accounts.models import User
from chat.models import Collection, Preset, Prompt
from chat.models.collections import COLLECTION_NAME_TAKEN, MAX_COLLECTIONS
from chat.models.presets import MAX_OWN_PRESETS, PRESET_NAME_TAKEN
from chat.models.prompts import MAX_OWN_PROMPTS, PROMPT_NAME_TAKEN
from chat.protocol.errors import Invalid

Own = TypeVar("Own", Preset, Prompt, Collection)
LIMITS: Final[dict[type[Preset | Prompt | Collection], int]] = {
    Preset: MAX_OWN_PRESETS, Prompt: MAX_OWN_PROMPTS, Collection: MAX_COLLECTIONS,
}  # fmt: skip
_TAKEN: Final = {Preset: PRESET_NAME_TAKEN, Prompt: PROMPT_NAME_TAKEN, Collection: COLLECTION_NAME_TAKEN}
_TOO_MANY: Final = {
    Preset: gettext_noop("You can have at most %(limit)s presets of your own. Delete one first."),
    Prompt: gettext_noop("You can have at most %(limit)s prompts of your own. Delete one first."),
    Collection: gettext_noop("You can have at most %(limit)s collections. Delete one first."),
}
# As their forms call them (`chat.views.library_forms`).
_LABELS: Final = {
    "name": gettext_noop("Name"),
    "description": gettext_noop("Description"),
    "system_prompt": gettext_noop("System prompt"),
    "starters": gettext_noop("Starters"),
    "model": gettext_noop("Model"),
    "temperature": gettext_noop("Temperature"),
    "max_tokens": gettext_noop("Longest answer (tokens)"),
    "tools": gettext_noop("Tools"),
    "title": gettext_noop("Title"),
    "text": gettext_noop("Text"),
}


def store(row: Own) -> Own:
    """Checks and writes a user's own preset, prompt or collection.

    Raises `Invalid` with a sentence: for values that it cannot have, and for a new one beyond the limit.
    """
    try:
        row.full_clean()
    except ValidationError as error:
        raise Invalid(sentence_of(error)) from None
    assert row.owner_id is not None
    kind = type(row)
    with transaction.atomic():
        # So that two tabs together stay below the limit.
        User.objects.select_for_update(no_key=True).get(pk=row.owner_id)
        if row._state.adding:  # noqa: SLF001  # Django documents it
            check_room(kind, kind.objects.filter(owner=row.owner_id).count() + 1)
        try:
            row.save()
        except IntegrityError:  # another tab was quicker; only the name can be
            raise Invalid(str(_TAKEN[kind])) from None
    return row


def check_room(kind: type[Preset | Prompt | Collection], count: int) -> None:
    """Raises `Invalid` if a user may not have so many presets, prompts or collections."""
    if count > LIMITS[kind]:
        raise Invalid(_(_TOO_MANY[kind]) % {"limit": LIMITS[kind]})


def sentence_of(error: ValidationError) -> str:
    """What is wrong, with the names of the fields."""
    return " ".join(_about(field, " ".join(messages)) for field, messages in error.message_dict.items())


def _about(field: str, wrong: str) -> str:
    if field == NON_FIELD_ERRORS:
        return wrong
    label = pgettext("setting of a model", "Thinking") if field == "effort" else _(_LABELS.get(field, field))
    return _("%(field)s: %(wrong)s") % {"field": label, "wrong": wrong}


def free_name(name: str, taken: Names[str], longest: int, first: str = " (copy)", more: str = " (copy {})") -> str:
    """A name like this one that is not among those taken, at most `longest` characters long.

    `first` and `more` are the endings: of the first copy, and with a number of the others.
    """
    for number in range(1, len(taken) + 2):
        ending = first if number == 1 else more.format(number)
        found = name[: longest - len(ending)] + ending
        if found not in taken:
            return found
    raise AssertionError("one of n + 1 names is not among n")
