"""What people have allowed tools for longer: the page of one's own approvals, and those of a conversation."""

from __future__ import annotations

import uuid
from typing import Any, Final

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from accounts.auth.requests import user_of
from accounts.lib.texts import gettext_noop
from chat.conversations.membership import check_may_write, member_of
from chat.eventlog.own_tools import title_of
from chat.models import KnownTool, Role, ToolApproval
from chat.protocol.errors import Forbidden, NotFound
from chat.views.decorators import command, for_members

MOST_SHOWN: Final = 200
NOT_YOURS: Final = gettext_noop(
    "Only the person who gave an approval, or an owner of the conversation, can take it back."
)


@require_safe
@for_members
def show_approvals(request: HttpRequest) -> HttpResponse:
    """The approvals that the user has given and that count, newest first."""
    rows = ToolApproval.objects.filter(user=user_of(request), conversation__deleted_at=None)
    found = list(rows.select_related("conversation").order_by("-created_at", "-pk")[:MOST_SHOWN])
    return render(request, "chat/tool_approvals.html", {"rows": [{"row": row, "title": _title(row)} for row in found]})


@require_POST
@for_members
def undo(request: HttpRequest, approval_id: int) -> HttpResponse:
    """Takes one of the user's own approvals back: the next call asks again."""
    deleted, _counts = ToolApproval.objects.filter(pk=approval_id, user=user_of(request)).delete()
    if not deleted:
        raise Http404
    messages.success(request, _("The next call asks again."))
    return redirect("chat:tool_approvals")


@require_safe
@for_members
def read_in_conversation(request: HttpRequest, conversation_id: uuid.UUID) -> JsonResponse:
    """GET: what is allowed in this conversation, by whom, and whether the reader can take it back."""
    reader = member_of(user_of(request).pk, conversation_id)
    rows = ToolApproval.objects.filter(conversation=conversation_id).select_related("user").order_by("created_at", "pk")
    shown: list[dict[str, Any]] = [
        {
            "id": row.pk,
            "title": _title(row),
            "server": row.server,
            "by": {"id": str(row.user_id), "name": row.user.display_name},
            "at": row.created_at.isoformat(),
            "may_undo": reader.role == Role.OWNER or row.user_id == reader.user_id,
        }
        for row in rows[:MOST_SHOWN]
    ]
    return JsonResponse({"approvals": shown})


@command
def undo_in_conversation(request: HttpRequest, conversation_id: uuid.UUID, approval_id: int) -> dict[str, Any]:
    """POST: the next call of this tool asks again here."""
    reader = member_of(user_of(request).pk, conversation_id)
    check_may_write(reader.user_id)
    row = ToolApproval.objects.filter(pk=approval_id, conversation=conversation_id).first()
    if row is None:
        raise NotFound
    if reader.role != Role.OWNER and row.user_id != reader.user_id:
        raise Forbidden(NOT_YOURS)
    row.delete()
    return {}


def _title(row: ToolApproval) -> str:
    known = KnownTool.objects.filter(server=row.server, name=row.tool).values_list("title", flat=True).first()
    return title_of(row.server, row.tool, known or "")
