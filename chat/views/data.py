"""The section "Data" of the settings: exports, imports, and the links to one's own links and trash."""

from __future__ import annotations

from typing import Final

from django.conf import settings
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from accounts.auth.requests import user_of
from chat.models import ExportJob, ImportJob, TransferState
from chat.portability.export_jobs import is_large
from chat.views.decorators import for_members

SHOWN: Final = 50  # imports


@require_safe
@for_members
def show_data(request: HttpRequest) -> HttpResponse:
    """Exports that can be downloaded or are being prepared, the last imports, and links to the trash and the like."""
    user = user_of(request)
    exports = ExportJob.objects.filter(user=user).exclude(
        Q(state=TransferState.DONE) & (Q(expires_at__lt=timezone.now()) | Q(file=""))
    )
    context = {
        "exports": exports.order_by("-created_at"),
        "imports": ImportJob.objects.filter(user=user).defer("report").order_by("-created_at")[:SHOWN],
        "is_large": is_large(user),
        "import_mb": settings.IMPORT_MAX_MB,
        "export_days": settings.EXPORT_DAYS,
    }
    return render(request, "chat/settings/data.html", context)
