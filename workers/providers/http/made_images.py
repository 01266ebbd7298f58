"""Images that a model makes itself, in its answer: decoded, known by their first bytes, and bounded. Pure: no I/O."""

from __future__ import annotations

import base64
import binascii
from typing import Final

from workers.providers.base import Chunk, ToolImage

MOST: Final = 8  # of one answer
MOST_BYTES: Final = 10 * 1024 * 1024  # of all of them together
_FIRST_BYTES: Final = {
    "image/png": b"\x89PNG\r\n\x1a\n", "image/jpeg": b"\xff\xd8\xff", "image/gif": b"GIF8", "image/webp": b"RIFF",
}  # fmt: skip


class MadeImages:
    """The images of one answer."""

    def __init__(self) -> None:
        self.found: list[ToolImage] = []
        self._size = 0

    def take(self, data: object) -> list[Chunk]:
        """The chunk with an image that has arrived, as base64 or as a `data:` address. None for one that came before,
        as in the closing event of a stream, for what is no image that a page shows, and for what is too much. Nothing
        is fetched from another address.
        """
        image = read_image(data)
        if image is None or image in self.found:
            return []
        self._size += len(image.content)
        if len(self.found) == MOST or self._size > MOST_BYTES:
            return []
        self.found.append(image)
        return [Chunk(images=(image,))]


def read_image(data: object) -> ToolImage | None:
    """The image in base64 or in a `data:` address; None if there is none."""
    if not isinstance(data, str):
        return None
    if data.startswith("data:"):
        _, _, data = data.partition(";base64,")
    try:
        content = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        return None
    kinds = (kind for kind, first in _FIRST_BYTES.items() if content.startswith(first))
    kind = next(kinds, "")
    if not kind or (kind == "image/webp" and content[8:12] != b"WEBP"):
        return None
    return ToolImage(kind, content)
