"""A user's folders: reads their tree; creates, changes, moves and deletes them."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, Final

from django.db import transaction
from django.db.models import Count, Max, Q
from django.utils.translation import gettext as _

from accounts.lib.formatting import grouped
from accounts.lib.texts import gettext_noop
from accounts.models import User
from chat.conversations.collections import choose_for_folder
from chat.models import Folder, Member
from chat.models.moderation import CaseTarget, Direction
from chat.models.organising import MAX_DEPTH, MAX_FOLDER_INSTRUCTIONS, MAX_FOLDER_NAME, MAX_FOLDERS
from chat.moderation.screening import screen_field
from chat.protocol.commands import clean_controls
from chat.protocol.errors import Invalid, NotFound, TooLarge

GONE: Final = gettext_noop("This folder no longer exists.")
TOO_DEEP: Final = gettext_noop("Folders can be nested only twice: a folder, one in it, and one in that.")
FULL: Final = gettext_noop("You have %(most)s folders, which is the limit. Delete one first.")
NO_NAME: Final = gettext_noop("Enter a name for the folder.")
LONG_NAME: Final = gettext_noop("A folder's name can have at most %(most)s characters.")
LONG_INSTRUCTIONS: Final = gettext_noop("Instructions can have at most %(most)s characters.")
IN_ITSELF: Final = gettext_noop("A folder cannot be moved into itself or a folder within it.")
MAX_MODEL: Final = 200


@dataclass(frozen=True, slots=True)
class FolderEntry:
    """A folder in the order of the tree. `depth` is 0 at the top; `ancestors` are the ids above it, the top one first.

    `conversations`: how many its list has, without those of the folders in it.
    """

    id: uuid.UUID
    name: str
    depth: int
    ancestors: tuple[uuid.UUID, ...]
    conversations: int
    instructions: str
    model: str

    def as_dict(self) -> dict[str, Any]:
        return {
            "id": str(self.id),
            "name": self.name,
            "depth": self.depth,
            "parent": str(self.ancestors[-1]) if self.ancestors else None,
            "conversations": self.conversations,
            "instructions": self.instructions,
            "model": self.model,
        }


def folder_entries(user_id: uuid.UUID) -> list[FolderEntry]:
    """The user's folders, each followed by those within it. One query."""
    listed = Q(
        memberships__archived_at=None, memberships__conversation__deleted_at=None,
        memberships__conversation__temporary=False,
    )  # fmt: skip
    rows = Folder.objects.filter(user_id=user_id).annotate(listed=Count("memberships", filter=listed))
    below: dict[uuid.UUID | None, list[Folder]] = {}
    for row in rows.order_by("position", "created_at", "pk"):
        below.setdefault(row.parent_id, []).append(row)

    def walk(parent: uuid.UUID | None, above: tuple[uuid.UUID, ...]) -> Iterator[FolderEntry]:
        for row in below.get(parent, ()):
            count = getattr(row, "listed", 0)
            yield FolderEntry(row.pk, row.name, len(above), above, count, row.instructions, row.model)
            yield from walk(row.pk, (*above, row.pk))

    return list(walk(None, ()))


def folder_of(user_id: uuid.UUID, folder_id: uuid.UUID) -> Folder:
    """Raises `NotFound` where the user has no such folder."""
    found = Folder.objects.filter(user_id=user_id, pk=folder_id).first()
    if found is None:
        raise NotFound(GONE)
    return found


def create_folder(user_id: uuid.UUID, given: dict[str, str], parent_id: uuid.UUID | None) -> Folder:
    """A new folder, the last one beside its siblings. Raises `Invalid`, `TooLarge`, `NotFound` and `Moderated`."""
    values = _checked(user_id, {"name": "", **given}, user_id)
    with transaction.atomic():
        every = _lock(user_id)
        if len(every) >= MAX_FOLDERS:
            raise Invalid(_(FULL) % {"most": MAX_FOLDERS})
        if parent_id is not None and len(_path(every, parent_id)) >= MAX_DEPTH:
            raise Invalid(TOO_DEEP)
        folder = Folder.objects.create(
            user_id=user_id, parent_id=parent_id, position=_last(user_id, parent_id), **values
        )  # fmt: skip
        if "collections" in given:
            choose_for_folder(user_id, folder, given["collections"])
    return folder


def change_folder(user_id: uuid.UUID, folder_id: uuid.UUID, given: dict[str, str]) -> Folder:
    """Changes name, instructions, model or collections (a JSON list of ids). Raises as `create_folder`."""
    folder = folder_of(user_id, folder_id)
    values = _checked(user_id, given, folder_id)
    with transaction.atomic():
        Folder.objects.filter(pk=folder.pk, user_id=user_id).update(**values)
        if "collections" in given:
            choose_for_folder(user_id, folder, given["collections"])
    return folder_of(user_id, folder_id)


def move_folder(
    user_id: uuid.UUID, folder_id: uuid.UUID, parent_id: uuid.UUID | None, before_id: uuid.UUID | None = None
) -> None:
    """Puts a folder, with what is in it, into another one or at the top (None): before a sibling, or as the last one.

    Raises `NotFound`, and `Invalid` where it would lie in itself or too deep.
    """
    with transaction.atomic():
        every = _lock(user_id)
        _path(every, folder_id)
        if parent_id is not None:
            above = _path(every, parent_id)
            if folder_id in above:
                raise Invalid(IN_ITSELF)
            if len(above) + _height(every, folder_id) > MAX_DEPTH:
                raise Invalid(TOO_DEEP)
        siblings = Folder.objects.filter(user_id=user_id, parent_id=parent_id).exclude(pk=folder_id)
        order = list(siblings.order_by("position", "created_at", "pk").values_list("pk", flat=True))
        order.insert(order.index(before_id) if before_id in order else len(order), folder_id)
        Folder.objects.filter(pk=folder_id).update(parent_id=parent_id)
        Folder.objects.bulk_update([Folder(pk=pk, position=at) for at, pk in enumerate(order)], ["position"])


def step_folder(user_id: uuid.UUID, folder_id: uuid.UUID, *, down: bool) -> bool:
    """Moves a folder one place up or down among its siblings; False: it is the first or the last. Raises `NotFound`."""
    with transaction.atomic():
        every = _lock(user_id)
        _path(every, folder_id)
        siblings = Folder.objects.filter(user_id=user_id, parent_id=every[folder_id])
        order = list(siblings.order_by("position", "created_at", "pk").values_list("pk", flat=True))
        at = order.index(folder_id)
        to = at + 1 if down else at - 1
        if not 0 <= to < len(order):
            return False
        order[at], order[to] = order[to], order[at]
        Folder.objects.bulk_update([Folder(pk=pk, position=at) for at, pk in enumerate(order)], ["position"])
    return True


def delete_folder(user_id: uuid.UUID, folder_id: uuid.UUID) -> int:
    """Deletes a folder. Its conversations go back to the list, and the folders in it one level up, where it was.

    Returns how many conversations go back. Raises `NotFound`.
    """
    with transaction.atomic():
        every = _lock(user_id)
        _path(every, folder_id)
        back = Member.objects.filter(folder_id=folder_id).update(folder=None)
        Folder.objects.filter(parent_id=folder_id).update(
            parent_id=every[folder_id], position=_last(user_id, every[folder_id])
        )
        Folder.objects.filter(pk=folder_id).delete()
    return back


def find_or_create_path(user_id: uuid.UUID, names: Collection[str]) -> Folder | None:
    """The folder at a path of names, from the top; what is missing of it is created. None: that would be too many.

    A path that is too deep ends at the deepest folder there may be.
    """
    found: Folder | None = None
    for name in list(names)[:MAX_DEPTH]:
        above, shown = found, " ".join(clean_controls(name).split())[:MAX_FOLDER_NAME]
        if not shown:
            continue
        found = Folder.objects.filter(user_id=user_id, parent=above, name=shown).order_by("position", "pk").first()
        if found is None:
            if Folder.objects.filter(user_id=user_id).count() >= MAX_FOLDERS:
                return above
            at = _last(user_id, above.pk if above else None)
            found = Folder.objects.create(user_id=user_id, parent=above, name=shown, position=at)
    return found


def _checked(user_id: uuid.UUID, given: dict[str, str], target_id: uuid.UUID) -> dict[str, str]:
    """The fields of a folder as they may be stored."""
    values: dict[str, str] = {}
    if "name" in given:
        name = " ".join(clean_controls(given["name"]).split())
        if not name:
            raise Invalid(NO_NAME)
        if len(name) > MAX_FOLDER_NAME:
            raise TooLarge(_(LONG_NAME) % {"most": MAX_FOLDER_NAME})
        values["name"] = screen_field(name, user_id, CaseTarget.TITLE, target_id, longest=MAX_FOLDER_NAME)
    if "instructions" in given:
        text = clean_controls(given["instructions"].replace("\r\n", "\n")).strip()
        if len(text) > MAX_FOLDER_INSTRUCTIONS:
            raise TooLarge(_(LONG_INSTRUCTIONS) % {"most": grouped(MAX_FOLDER_INSTRUCTIONS)})
        values["instructions"] = screen_field(
            text, user_id, CaseTarget.PRESET, target_id, direction=Direction.ASKED, longest=MAX_FOLDER_INSTRUCTIONS
        )
    if "model" in given:
        values["model"] = clean_controls(given["model"]).strip()[:MAX_MODEL]
    return values


def lock_order(user_id: uuid.UUID) -> None:
    """Other changes of the user's folders, of their tags and of what is in them wait until this transaction is over."""
    User.objects.select_for_update(no_key=True).filter(pk=user_id).values_list("pk").first()


def _lock(user_id: uuid.UUID) -> dict[uuid.UUID, uuid.UUID | None]:
    """Each of the user's folders with its parent, locked."""
    lock_order(user_id)
    return dict(Folder.objects.filter(user_id=user_id).values_list("pk", "parent_id"))


def _path(every: dict[uuid.UUID, uuid.UUID | None], folder_id: uuid.UUID) -> list[uuid.UUID]:
    """The folder and those above it. Raises `NotFound`."""
    path: list[uuid.UUID] = []
    at: uuid.UUID | None = folder_id
    while at is not None:
        if at not in every:
            raise NotFound(GONE)
        path.append(at)
        at = every[at]
    return path


def _height(every: dict[uuid.UUID, uuid.UUID | None], folder_id: uuid.UUID) -> int:
    """How many levels a folder has with those in it: 1 for one with none."""
    return 1 + max((_height(every, one) for one, parent in every.items() if parent == folder_id), default=0)


def _last(user_id: uuid.UUID, parent_id: uuid.UUID | None) -> int:
    last = Folder.objects.filter(user_id=user_id, parent_id=parent_id).aggregate(last=Max("position"))["last"]
    return 0 if last is None else int(last) + 1
