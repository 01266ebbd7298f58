"""Downloads of files that tools made."""

from __future__ import annotations

import uuid

from django.http import Http404, HttpRequest, HttpResponse
from django.utils.http import content_disposition_header
from django.views.decorators.http import require_safe

from accounts.auth.requests import user_of
from chat.conversations.membership import memberships
from chat.models import ToolFile
from chat.views.decorators import for_members

# Whatever a file holds: a browser runs nothing of it, also where somebody opens it instead of saving it.
SANDBOX = "default-src 'none'; sandbox"


@require_safe
@for_members
def download_tool_file(request: HttpRequest, file_id: uuid.UUID) -> HttpResponse:
    """The file, for a member of its conversation. Somebody else learns only that there is none for them."""
    file = ToolFile.objects.filter(pk=file_id, conversation__deleted_at=None).first()
    if file is None or not memberships(user_of(request).pk, [file.conversation_id]):
        raise Http404
    response = HttpResponse(bytes(file.content), content_type="application/octet-stream")
    response.headers["Content-Disposition"] = content_disposition_header(True, file.name) or "attachment"
    response.headers["Content-Security-Policy"] = SANDBOX
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cache-Control"] = "private, no-store"
    return response
