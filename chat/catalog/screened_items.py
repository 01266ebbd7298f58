"""Screens the texts of a user's own presets, prompts and collections by the moderation rules."""

from __future__ import annotations

import re
from typing import Final

from django.db.models import Field

from chat.models import Collection, Preset, Prompt
from chat.models.moderation import CaseTarget, Direction
from chat.moderation.screening import screen_field

# Names and what is shown with them; the other texts go to models.
_NAMED: Final[dict[type[Preset | Prompt | Collection], tuple[str, ...]]] = {
    Preset: ("name", "description"), Prompt: ("name", "title"), Collection: ("name", "description"),
}  # fmt: skip
_ASKED: Final[dict[type[Preset | Prompt | Collection], tuple[str, ...]]] = {
    Preset: ("system_prompt",), Prompt: ("text",), Collection: (),
}  # fmt: skip
_NO_NAME: Final = re.compile(r"[^\w-]+")  # what the name of a prompt cannot have


def screen_item(row: Preset | Prompt | Collection) -> None:
    """Masks the texts of a preset, prompt or collection that is about to be stored. Not within a transaction.

    Raises `Moderated` for a text that rules hold or block; its case has the row's id.
    """
    for name in _NAMED[type(row)]:
        setattr(row, name, _screened(row, getattr(row, name), Direction.NAMED, longest=_length(row, name)))
    for name in _ASKED[type(row)]:
        setattr(row, name, _screened(row, getattr(row, name), Direction.ASKED, longest=None))
    if isinstance(row, Preset):
        row.starters = [_screened(row, one, Direction.NAMED, longest=None) for one in row.starters]
    elif isinstance(row, Prompt):
        row.name = _NO_NAME.sub("", row.name.replace("*", "x"))


def _length(row: Preset | Prompt | Collection, name: str) -> int | None:
    field = row._meta.get_field(name)  # noqa: SLF001  # Django documents it
    return field.max_length if isinstance(field, Field) else None


def _screened(row: Preset | Prompt | Collection, text: str, direction: Direction, *, longest: int | None) -> str:
    assert row.owner_id is not None
    target = CaseTarget.FILE if isinstance(row, Collection) else CaseTarget.PRESET
    return screen_field(text, row.owner_id, target, row.pk, direction=direction, longest=longest)
