"""What the admin's command palette (Ctrl K) finds besides pages: people, runs, conversations, messages and cases.

It reads no texts: people are found by the beginnings of words of their name or address, everything else by its id; an
answer's id, which people see below a failed answer, also finds its runs.
"""

from __future__ import annotations

import re
import uuid
from typing import Any, Final

from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext
from unfold.dataclasses import SearchResult

from accounts.lib.formatting import moment
from accounts.lib.text_search import USERS, with_words
from accounts.models import User
from chat.models import Conversation, Message, ModerationCase, Run

MOST: Final = 8  # people
_UUID: Final = re.compile(r"[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}")


def find(request: HttpRequest, term: str) -> list[SearchResult]:
    """For unfold's COMMAND setting: what the member of staff may open, people first."""
    term = term.strip()
    if not _UUID.fullmatch(term.lower()):
        return _people(request, with_words(User.objects.all(), USERS, term).order_by("-pk")) if len(term) > 1 else []
    id_ = uuid.UUID(term)
    found = _people(request, User.objects.filter(pk=id_))
    rows: tuple[tuple[str, type[Model], str], ...] = (
        ("chat.view_run", Run, "bolt"),
        ("chat.view_conversation", Conversation, "forum"),
        ("chat.view_message", Message, "chat_bubble"),
        ("chat.view_moderationcase", ModerationCase, "gavel"),
    )
    for permission, model, icon in rows:
        if request.user.has_perm(permission) and model._default_manager.filter(pk=id_).exists():  # noqa: SLF001
            found.append(_result(model, id_, icon))
    if request.user.has_perm("chat.view_run"):
        by_trace = Run.objects.filter(message=id_).order_by("-created_at")[:MOST]
        found += [_run(run) for run in by_trace if run.pk != id_]
    return found


def _people(request: HttpRequest, rows: QuerySet[User]) -> list[SearchResult]:
    if not request.user.has_perm("accounts.view_user"):
        return []
    return [
        SearchResult(
            title=user.email,
            description=user.name or gettext("User"),
            link=reverse("admin:accounts_user_change", args=[user.pk]),
            icon="person",
        )
        for user in rows[:MOST]
    ]


def _result(model: type[Model], id_: uuid.UUID, icon: str) -> SearchResult:
    options: Any = model._meta  # noqa: SLF001  # Django documents it
    return SearchResult(
        title=str(options.verbose_name).capitalize(),
        description=str(id_),
        link=reverse(f"admin:{options.app_label}_{options.model_name}_change", args=[id_]),
        icon=icon,
    )


def _run(run: Run) -> SearchResult:
    return SearchResult(
        title=gettext("Run of this answer: %(model)s") % {"model": run.model},
        description=f"{run.get_status_display()} · {moment(run.created_at)}",
        link=reverse("admin:chat_run_change", args=[run.pk]),
        icon="bolt",
    )
