"""The dialogs of the conversation page, which most visits never open: one fragment, loaded with the first of them."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from chat.models.moderation import ReportReason
from chat.views.decorators import for_members


@require_safe
@for_members
def show_sheets(request: HttpRequest) -> HttpResponse:
    """Empty dialogs as HTML, the same for every conversation; their scripts fill them."""
    return render(request, "chat/sheets.html", {"report_reasons": ReportReason.choices})
