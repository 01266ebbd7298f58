"""Downloads of files that tools made. Uploads are in `chat.views.imports`."""

from __future__ import annotations

import uuid

from django.http import Http404, HttpRequest, HttpResponseBase
from django.views.decorators.http import require_safe

from accounts.auth.requests import user_of
from accounts.lib.streaming import send_file
from chat.conversations.membership import memberships
from chat.models import ToolFile
from chat.views.decorators import for_members

# Whatever a file holds: a browser runs nothing of it, also where somebody opens it instead of saving it.
SANDBOX = "default-src 'none'; sandbox"


@require_safe
@for_members
def download_tool_file(request: HttpRequest, file_id: uuid.UUID) -> HttpResponseBase:
    """The file, for a member of its conversation. Somebody else learns only that there is none for them. The download
    ends when the user is removed.
    """
    file = ToolFile.objects.filter(pk=file_id, conversation__deleted_at=None).first()
    user_id, conversation_id = user_of(request).pk, file.conversation_id if file is not None else None

    def may_read() -> bool:
        return conversation_id is not None and bool(memberships([(user_id, conversation_id)]))

    if file is None or not may_read():
        raise Http404
    response = send_file(request, file.name, "application/octet-stream", bytes(file.content), may_read)
    response.headers["Content-Security-Policy"] = SANDBOX
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cache-Control"] = "private, no-store"
    return response
