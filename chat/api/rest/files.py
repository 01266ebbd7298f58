"""Files: upload in parts, list, read, download, delete."""

from __future__ import annotations

import functools
import uuid
from typing import Any

from django.http import HttpRequest, HttpResponseBase
from ninja import Query, Router, Schema
from pydantic import Field

from accounts.lib.ids import uuid7
from chat.api.rest.access import READS, UPLOADS, WRITES, user_id_of
from chat.api.rest.answers import answers
from chat.api.rest.cursors import bad_cursor, make_cursor, read_cursor
from chat.api.rest.schemas import MOST, FileOut, FilePage, TextPage, UploadIn, UploadOut
from chat.conversations.file_removal import delete_file
from chat.conversations.membership import check_may_write
from chat.files import library, uploads
from chat.files.access import may_see, visible_file
from chat.files.names import clean_name
from chat.files.payloads import file_dict
from chat.files.serving import send_content
from chat.files.texts import read_text
from chat.models.moderation import CaseTarget
from chat.moderation.screening import screen_field
from chat.protocol.errors import Invalid

router = Router(tags=["files"])


class Which(Schema):
    limit: int = Field(50, ge=1, le=MOST)
    cursor: str = ""


class Part(Schema):
    offset: int = Field(ge=0, lt=10**15)


@router.get("/files", auth=READS, response=answers(FilePage), summary="List your files")
def list_files(request: HttpRequest, which: Query[Which]) -> dict[str, Any]:
    """The files that the token's user uploaded, newest first."""
    try:
        page = library.list_files(user_id_of(request), read_cursor(which.cursor), which.limit)
    except Invalid:
        raise bad_cursor() from None
    return {"data": page.files, "next_cursor": make_cursor(page.next), "used": page.used, "limit": page.limit}


@router.get("/files/{uuid:file_id}", auth=READS, response=answers(FileOut), summary="Read what is known of a file")
def read_file(request: HttpRequest, file_id: uuid.UUID) -> dict[str, Any]:
    """Your own, and those of messages in your conversations."""
    file = visible_file(user_id_of(request), file_id)
    return {**file_dict(file), "created_at": file.created_at}


@router.get("/files/{uuid:file_id}/text", auth=READS, response=answers(TextPage), summary="Read its text")
def read_file_text(request: HttpRequest, file_id: uuid.UUID, cursor: str = "") -> dict[str, Any]:
    """What models read of it, part by part."""
    after = read_cursor(cursor)
    if after and not (after.isascii() and after.isdecimal() and len(after) < 10):
        raise bad_cursor()
    found = read_text(visible_file(user_id_of(request), file_id).blob_id, int(after) if after else None)
    following = found.get("next")
    return {"data": found["parts"], "next_cursor": make_cursor(None if following is None else str(following))}


@router.get("/files/{uuid:file_id}/content", auth=READS, summary="Download it", response=answers(bytes))
def download_file(request: HttpRequest, file_id: uuid.UUID) -> HttpResponseBase:
    """The bytes. The download ends when access ends."""
    user_id = user_id_of(request)
    file = visible_file(user_id, file_id)
    return send_content(request, file, functools.partial(may_see, user_id, file_id))


@router.delete("/files/{uuid:file_id}", auth=WRITES, response=answers(None, 204), summary="Delete it")
def remove_file(request: HttpRequest, file_id: uuid.UUID) -> tuple[int, None]:
    """Also from the messages that have it. Only your own."""
    delete_file(user_id_of(request), file_id)
    return 204, None


@router.post("/uploads", auth=UPLOADS, response=answers(UploadOut, 201), summary="Begin an upload")
def begin_upload(request: HttpRequest, upload: UploadIn) -> tuple[int, dict[str, Any]]:
    """Then PUT the parts, and finish it."""
    user_id = user_id_of(request)
    check_may_write(user_id)
    name = screen_field(clean_name(upload.name), user_id, CaseTarget.FILE, uuid7(), longest=library.MAX_NAME)
    return 201, _shown(uploads.create_upload(user_id, name, upload.size))


@router.get("/uploads/{uuid:upload_id}", auth=READS, response=answers(UploadOut), summary="Read how far an upload is")
def read_upload(request: HttpRequest, upload_id: uuid.UUID) -> dict[str, Any]:
    return _shown(uploads.progress_of(uploads.own_upload(user_id_of(request), upload_id)))


@router.put(
    "/uploads/{uuid:upload_id}", auth=UPLOADS, response=answers(UploadOut), summary="Send a part",
    openapi_extra={"requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }},
)  # fmt: skip
def receive_part(request: HttpRequest, upload_id: uuid.UUID, part: Query[Part]) -> dict[str, Any]:
    """The bytes from `offset` on, at most `chunk_bytes`. With another offset than the next one the error says
    `received`, from where you go on.
    """
    uploads.receive_chunk(user_id_of(request), upload_id, part.offset, request)
    return read_upload(request, upload_id)


@router.delete("/uploads/{uuid:upload_id}", auth=UPLOADS, response=answers(None, 204), summary="Cancel an upload")
def cancel_upload(request: HttpRequest, upload_id: uuid.UUID) -> tuple[int, None]:
    uploads.cancel_upload(user_id_of(request), upload_id)
    return 204, None


@router.post(
    "/uploads/{uuid:upload_id}/finish", auth=UPLOADS, response=answers(FileOut, 201), summary="Make a file of it"
)  # fmt: skip
def finish_upload(request: HttpRequest, upload_id: uuid.UUID) -> tuple[int, dict[str, Any]]:
    """The file has the upload's id. Its text is read afterwards. May be repeated."""
    file = uploads.finish_upload(user_id_of(request), upload_id)
    return 201, {**file_dict(file), "created_at": file.created_at}


def _shown(upload: uploads.Progress) -> dict[str, Any]:
    return {
        "id": upload.id, "name": upload.name, "size": upload.size, "received": upload.received,
        "chunk_bytes": uploads.chunk_bytes(),
    }  # fmt: skip
