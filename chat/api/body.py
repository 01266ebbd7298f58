"""The JSON body of a request to `/v1/`, parsed only if that cannot hold up everybody else in this process."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from django.conf import settings

from accounts.lib.json_bounds import TooManyValuesError, check_values
from chat.api.asked import BASE64_MARK
from chat.api.errors import ApiError, invalid
from chat.api.images import most_image_bytes

BODY_FACTOR: Final = 7  # of the text: JSON may escape each byte, and has names of its own


def check_size(size: int, most_bytes: int) -> None:
    """Raises `ApiError` if a body of `size` bytes is too large. `most_bytes`: of its texts."""
    if size > most_bytes * BODY_FACTOR + most_image_bytes():
        most = settings.API_IMAGES_MB
        said = f"A request can have at most {most_bytes:,} bytes of text and {most} MiB of images."
        raise ApiError(413, said, code="too_large")


def parse_body(raw: bytes, most_bytes: int) -> dict[str, Any]:
    """The JSON object. Raises `ApiError`."""
    beside_images = len(raw) - _image_bytes(raw)
    if beside_images > most_bytes * BODY_FACTOR:
        raise ApiError(413, f"A request can have at most {most_bytes:,} bytes of text.", code="too_large")
    try:
        check_values(raw, most_bytes)
    except TooManyValuesError:
        said = "A request can't have so many lists, objects and values, within its texts or beside them. Send fewer."
        raise ApiError(413, said, code="too_large") from None
    try:
        body = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise invalid("The body is not JSON.", code="invalid_json") from error
    if not isinstance(body, dict):
        raise invalid("The body must be a JSON object.", code="invalid_json")
    return body


def _image_bytes(raw: bytes) -> int:
    """Bytes of `raw` that are in texts like `data:image/png;base64,…`, of as many as a message may have files.

    Only what follows the mark up to the next quotation mark counts. Where the mark is not in a text, `raw` is no JSON.
    """
    found = at = 0
    for _ in range(settings.FILES_PER_MESSAGE):
        begin = raw.find(BASE64_MARK, at)
        if begin < 0:
            break
        at = raw.find(b'"', begin)
        at = len(raw) if at < 0 else at
        found += at - begin
    return found
