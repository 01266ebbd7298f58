"""Images of a request: stored as files of its user, as if they had been attached in the page.

So they count in the user's storage, are read by workers and by moderation, belong to the conversation and follow its
retention. A request that is repeated with its `Idempotency-Key` finds the files that it made.
"""

from __future__ import annotations

import hashlib
import io
import uuid
from collections.abc import Mapping, Sequence
from typing import Final

from django.conf import settings
from django.db import IntegrityError

from chat.api.asked import Image
from chat.api.errors import ApiError, invalid
from chat.files.kinds import HEAD, kind_of
from chat.files.uploads import chunk_bytes, create_upload, finish_upload, receive_chunk
from chat.models import File, FileKind

BASE64: Final = 4 / 3  # of a content, in a request


def most_image_bytes() -> int:
    """Bytes of a request's body that images may take."""
    return int(settings.API_IMAGES_MB * 2**20 * BASE64)


def store_images(
    user_id: uuid.UUID, client_id: uuid.UUID, images: Mapping[int, Sequence[Image]]
) -> tuple[list[uuid.UUID], list[int]]:
    """The ids of the files, and the number of each one's turn. Raises `ApiError` and `ChatError`s."""
    if sum(map(len, images.values())) > settings.FILES_PER_MESSAGE:
        raise invalid(f"A request can have at most {settings.FILES_PER_MESSAGE} images.", code="too_large")
    ids: list[uuid.UUID] = []
    placed: list[int] = []
    for number, found in sorted(images.items()):
        for image in found:
            at = len(ids)
            ids.append(
                _copy(user_id, client_id, at, image)
                if isinstance(image, uuid.UUID)
                else _store(user_id, client_id, at, image)
            )
            placed.append(number)
    return ids, placed


def _store(user_id: uuid.UUID, client_id: uuid.UUID, at: int, content: bytes) -> uuid.UUID:
    kind = kind_of(content[:HEAD], "image")
    if kind.kind != FileKind.IMAGE:
        raise invalid(
            "An image is of no kind that is read here: send PNG, JPEG, WebP or GIF.", code="unsupported_content"
        )
    file_id = uuid.uuid5(client_id, f"{at} {hashlib.sha256(content).hexdigest()}")
    if File.objects.filter(pk=file_id, owner=user_id).exists():
        return file_id
    upload = create_upload(user_id, f"image-{at + 1}", len(content), upload_id=file_id)
    for offset in range(upload.received, len(content), chunk_bytes()):
        receive_chunk(user_id, file_id, offset, io.BytesIO(content[offset : offset + chunk_bytes()]))
    return finish_upload(user_id, file_id).pk


def _copy(user_id: uuid.UUID, client_id: uuid.UUID, at: int, file_id: uuid.UUID) -> uuid.UUID:
    """The same content as a file of its own: a file belongs to one conversation."""
    known = File.objects.filter(pk=file_id, owner=user_id).first()
    if known is None:
        raise ApiError(
            400, "An image of that response was deleted. Send its messages again.", param="previous_response_id",
            code="previous_response_not_found",
        )  # fmt: skip
    copy_id = uuid.uuid5(client_id, f"{at} {file_id}")
    try:
        File.objects.get_or_create(
            pk=copy_id, owner_id=user_id, defaults={"blob_id": known.blob_id, "name": known.name}
        )
    except IntegrityError as error:  # the purge deleted its content in this moment
        raise ApiError(503, "Try again in a moment.", code="unavailable", retry_after=5) from error
    return copy_id
