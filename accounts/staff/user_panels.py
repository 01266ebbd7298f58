"""Lists on the admin's page of a user that other apps know of, such as strikes. Each app registers its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from django.utils.translation import gettext_lazy as _

from accounts.models import User

if TYPE_CHECKING:
    from django_stubs_ext import StrPromise

NOTHING: Final = _("None.")


@dataclass(frozen=True, slots=True)
class UserPanel:
    """A titled list: each row has a text, a note and perhaps an address."""

    title: str
    rows: list[tuple[str, str, str]] = field(default_factory=list)
    empty: str | StrPromise = NOTHING


Reader = Callable[[User, User], "UserPanel | None"]
_registered: list[Reader] = []


def register_user_panel(reader: Reader) -> None:
    """Adds a panel. `reader(viewer, user)` returns it, or None where the viewer may not see it."""
    if reader not in _registered:
        _registered.append(reader)


def panels_for(viewer: User, user: User) -> list[UserPanel]:
    """The panels that `viewer` may see, about `user`."""
    return [panel for reader in _registered if (panel := reader(viewer, user)) is not None]
