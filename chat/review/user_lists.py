"""The lists about one user to which the admin's page of that user links."""

from __future__ import annotations

from typing import Final

from django.utils.translation import gettext_lazy as _

from accounts.staff.user_links import UserLink
from chat.models.messages import READ_TEXT


def _list(title: object, model: str, parameter: str, *, by_email: bool = False) -> UserLink:
    return UserLink(
        title, f"admin:chat_{model}_changelist", parameter, f"chat.view_{model}", by_email  # type: ignore[arg-type]  # lazy texts
    )  # fmt: skip


USER_LISTS: Final = (
    _list(_("Conversations"), "conversation", "member"),
    UserLink(_("Search in their messages"), "admin:search_texts", "person", READ_TEXT, by_email=True),
    _list(_("Messages"), "message", "author__exact"),
    _list(_("Runs"), "run", "requested_by__exact"),
    _list(_("Queued messages"), "queuedmessage", "author__exact"),
    _list(_("Earlier texts"), "revision", "q", by_email=True),
    _list(_("Ratings"), "rating", "user__exact"),
    _list(_("Files"), "file", "owner__exact"),
    _list(_("Collections"), "collection", "q", by_email=True),
    _list(_("Tool calls"), "toolcall", "q", by_email=True),
    _list(_("Recordings"), "recording", "user__exact"),
    _list(_("Share links"), "sharelink", "created_by__exact"),
    _list(_("Join links"), "joinlink", "created_by__exact"),
    _list(_("Notified devices"), "pushsubscription", "user__exact"),
    _list(_("Moderation cases"), "moderationcase", "person"),
    _list(_("Strikes"), "strike", "person__exact"),
)
