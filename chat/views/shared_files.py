"""Files of a shared conversation, for readers of its link (`chat.views.shares` has the page)."""

from __future__ import annotations

import uuid

from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.views.decorators.http import require_safe

from chat.files.serving import send_content, send_thumbnail
from chat.files.texts import read_text
from chat.models import File
from chat.protocol.errors import NotFound
from chat.shares import links
from chat.shares.access import may_read
from chat.shares.files import shared_file
from chat.views.shares import for_readers, user_id_of


def _find(token: str, file_id: uuid.UUID, user_id: uuid.UUID | None, key: str) -> File:
    """Raises `NotFound` for whatever is wrong, as the page of the share does."""
    link = links.find_share(token)
    if link is None or not may_read(link, user_id, key):
        raise NotFound
    return shared_file(link, file_id)


class _Asked:
    """A file that somebody asks for, and whether they may still see it while it is sent."""

    def __init__(self, request: HttpRequest, token: str, file_id: uuid.UUID) -> None:
        self._asked = (token, file_id, user_id_of(request), request.GET.get("key", ""))
        self.file = _find(*self._asked)

    def may_see(self) -> bool:
        try:
            _find(*self._asked)
        except NotFound:
            return False
        return True


@require_safe
@for_readers
def download(request: HttpRequest, token: str, file_id: uuid.UUID) -> HttpResponseBase:
    """The original; `?view=1` in the page, `?key=` of a link with a password."""
    asked = _Asked(request, token, file_id)
    return send_content(request, asked.file, asked.may_see, inline=request.GET.get("view") == "1")


@require_safe
@for_readers
def thumbnail(request: HttpRequest, token: str, file_id: uuid.UUID) -> HttpResponseBase:
    asked = _Asked(request, token, file_id)
    return send_thumbnail(request, asked.file, asked.may_see)


@require_safe
@for_readers
def text(request: HttpRequest, token: str, file_id: uuid.UUID) -> HttpResponseBase:
    after = request.GET.get("after", "")
    file = _Asked(request, token, file_id).file
    return JsonResponse(read_text(file.blob_id, int(after) if after.isdecimal() and len(after) < 10 else None))
