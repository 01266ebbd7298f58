"""Uploads in chunks, and files: download, text, state, delete, list (docs/protocol.md, "Files over HTTP")."""

from __future__ import annotations

import functools
import json
import uuid
from collections.abc import Callable
from typing import Any, Final

from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from accounts.auth.requests import user_of
from accounts.lib import rate_limit
from accounts.lib.ids import uuid7
from accounts.lib.outage import OUTAGE
from chat.conversations.file_removal import delete_file
from chat.conversations.membership import check_may_write
from chat.files import library, uploads
from chat.files.access import may_see, visible_file
from chat.files.names import clean_name
from chat.files.payloads import file_dict
from chat.files.serving import send_content, send_thumbnail
from chat.files.texts import read_text
from chat.models.moderation import CaseTarget
from chat.moderation.screening import screen_field
from chat.protocol.errors import ChatError, Invalid, Moderated, Unavailable
from chat.views.decorators import STATUSES, for_members

_STATUSES: Final = {**STATUSES, "too_large": 413, "quota_exceeded": 409, "offset": 409}
MAX_BODY: Final = 64 * 1024  # bytes of a request that begins an upload

Answer = tuple[int, dict[str, Any]]


def _json(**methods: Callable[..., Answer]) -> Callable[..., HttpResponseBase]:
    """A view that answers with JSON: for each method a function that returns the status and the body."""

    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            view = methods.get(str(request.method))
            if view is None:
                return JsonResponse({}, status=405, headers={"Allow": ", ".join(methods)})
            status, body = view(request, *args, **kwargs)
            return JsonResponse(body, status=status)
        except ChatError as error:
            return _refused(error)
        except OUTAGE:
            return _refused(Unavailable(_("Files can't be stored or read right now. Try again in a moment.")))

    return for_members(answer)


def _refused(error: ChatError) -> JsonResponse:
    body: dict[str, Any] = {"code": error.code, "message": error.message}
    if isinstance(error, uploads.WrongOffset):
        body["received"] = error.received
    if isinstance(error, Moderated):
        body["case_id"] = str(error.case_id)
    headers = {}
    if error.retry_after:
        body["retry_after"] = error.retry_after
        headers["Retry-After"] = str(int(error.retry_after) + 1)
    return JsonResponse(body, status=_STATUSES.get(error.code, 503), headers=headers)


def _progress(upload: uploads.Progress) -> dict[str, Any]:
    shown = {"id": str(upload.id), "name": upload.name, "size": upload.size, "received": upload.received}
    return {**shown, "chunk_bytes": uploads.chunk_bytes(), **({"pasted": True} if upload.pasted else {})}


def _begin(request: HttpRequest) -> Answer:
    """POST `name`, `size` and `pasted`, as JSON or as a form."""
    user_id = user_of(request).pk
    check_may_write(user_id)
    asked = _asked(request)
    name, size = asked.get("name"), asked.get("size")
    if isinstance(size, str) and size.isdecimal() and len(size) < 20:
        size = int(size)
    if not isinstance(name, str) or not isinstance(size, int) or isinstance(size, bool):
        raise Invalid(_("An upload needs a name and a size."))
    name = screen_field(clean_name(name), user_id, CaseTarget.FILE, uuid7(), longest=library.MAX_NAME)
    pasted = asked.get("pasted") in (True, "1", "true")
    return 201, _progress(uploads.create_upload(user_id, name, size, pasted=pasted))


def _asked(request: HttpRequest) -> dict[str, Any]:
    if request.content_type != "application/json":
        return dict(request.POST.items())
    raw = request.read(MAX_BODY + 1)
    try:
        asked = json.loads(raw) if len(raw) <= MAX_BODY else None
    except (ValueError, RecursionError):
        asked = None
    if not isinstance(asked, dict):
        raise Invalid(_("The body is not a JSON object."))
    return asked


def _receive(request: HttpRequest, upload_id: uuid.UUID) -> Answer:
    """PUT the bytes from `?offset=` on, at most `chunk_bytes`."""
    offset = request.GET.get("offset", "")
    if not offset.isdecimal() or len(offset) > 15:
        raise Invalid(_("An upload needs the offset of the part."))
    return 200, {"received": uploads.receive_chunk(user_of(request).pk, upload_id, int(offset), request)}


def _read_upload(request: HttpRequest, upload_id: uuid.UUID) -> Answer:
    return 200, _progress(uploads.progress_of(uploads.own_upload(user_of(request).pk, upload_id)))


def _cancel(request: HttpRequest, upload_id: uuid.UUID) -> Answer:
    uploads.cancel_upload(user_of(request).pk, upload_id)
    return 200, {}


def _list_uploads(request: HttpRequest) -> Answer:
    return 200, {"uploads": [_progress(one) for one in uploads.own_uploads(user_of(request).pk)]}


def _finish(request: HttpRequest, upload_id: uuid.UUID) -> Answer:
    return 200, {"file": file_dict(uploads.finish_upload(user_of(request).pk, upload_id))}


def _list_files(request: HttpRequest) -> Answer:
    """GET `?after=` (the `next` of the page before)."""
    page = library.list_files(user_of(request).pk, request.GET.get("after", ""))
    body = {"files": page.files, "used": page.used, "limit": page.limit}
    return 200, {**body, "next": page.next} if page.next else body


def _reuse(request: HttpRequest, file_id: uuid.UUID) -> Answer:
    check_may_write(user_of(request).pk)
    return 201, {"file": file_dict(library.reuse_file(user_of(request).pk, file_id))}


def _state(request: HttpRequest, file_id: uuid.UUID) -> Answer:
    return 200, file_dict(visible_file(user_of(request).pk, file_id))


def _text(request: HttpRequest, file_id: uuid.UUID) -> Answer:
    """GET `?after=`: the parts of the text after the one with this number."""
    after = request.GET.get("after", "")
    file = visible_file(user_of(request).pk, file_id)
    return 200, read_text(file.blob_id, int(after) if after.isdecimal() and len(after) < 10 else None)


def _delete(request: HttpRequest, file_id: uuid.UUID) -> Answer:
    delete_file(user_of(request).pk, file_id)
    return 200, {}


_uploading = rate_limit.rated("RATE_UPLOADS")  # one file takes many requests
begin = _uploading(_json(POST=_begin))
list_uploads = _json(GET=_list_uploads)
upload = _uploading(_json(PUT=_receive, GET=_read_upload, DELETE=_cancel))
finish = _uploading(_json(POST=_finish))
list_files = _json(GET=_list_files)
reuse = _json(POST=_reuse)
state = _json(GET=_state)
text = _json(GET=_text)
delete = _json(DELETE=_delete)


@require_safe
@for_members
def _download(request: HttpRequest, file_id: uuid.UUID) -> HttpResponseBase:
    """The original as a download; `?view=1` in the page, if browsers show its type. It ends when access ends."""
    user_id = user_of(request).pk
    file = visible_file(user_id, file_id)
    inline = request.GET.get("view") == "1"
    return send_content(request, file, functools.partial(may_see, user_id, file_id), inline=inline)


def file(request: HttpRequest, file_id: uuid.UUID) -> HttpResponseBase:
    """GET: the original. DELETE: deletes the file, which only its owner may."""
    return delete(request, file_id) if request.method == "DELETE" else _download(request, file_id)


@require_safe
@for_members
def thumbnail(request: HttpRequest, file_id: uuid.UUID) -> HttpResponseBase:
    user_id = user_of(request).pk
    found = visible_file(user_id, file_id)
    return send_thumbnail(request, found, functools.partial(may_see, user_id, file_id))
