"""Links of the admin's user page to lists about that user. Each app registers links to its own lists."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from django.urls import reverse

from accounts.models import User

if TYPE_CHECKING:
    from django_stubs_ext import StrPromise


@dataclass(frozen=True, slots=True)
class UserLink:
    """`view` is the URL name of a list and `parameter` its query parameter that takes the user's id, or `by_email` the
    email address.
    """

    title: str | StrPromise
    view: str
    parameter: str
    permission: str
    by_email: bool = False


_registered: list[UserLink] = []


def register_user_link(link: UserLink) -> None:
    """Adds a link. An app calls it when it is ready; registering the same link again changes nothing."""
    if link not in _registered:
        _registered.append(link)


def links_for(viewer: User, user: User) -> list[tuple[str, str]]:
    """(title, URL) of the lists that `viewer` may see, about `user`."""
    return [
        (
            str(link.title),
            f"{reverse(link.view)}?{urlencode({link.parameter: user.email if link.by_email else user.pk})}",
        )
        for link in _registered
        if viewer.has_perm(link.permission)
    ]
