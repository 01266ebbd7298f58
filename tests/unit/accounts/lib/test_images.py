"""Images are known by their first bytes, whatever their names say."""

from __future__ import annotations

import struct

import pytest

from accounts.lib.images import ImageInfo, read_image_info

pytestmark = pytest.mark.unit
PNG = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 640, 480) + b"\x08\x02\0\0\0"
JPEG = (
    b"\xff\xd8\xff\xe0" + struct.pack(">H", 16) + b"JFIF\0\1\1\0\0\1\0\1\0\0"
    + b"\xff\xff\xc2" + struct.pack(">HBHH", 17, 8, 480, 640) + b"\3"
)  # fmt: skip
RIFF = b"RIFF\0\0\0\0WEBP"
LOSSY = RIFF + b"VP8 " + b"\0" * 4 + b"\0\0\0\x9d\x01\x2a" + struct.pack("<HH", 640, 480)
LOSSLESS = RIFF + b"VP8L" + b"\0" * 4 + b"\x2f" + struct.pack("<I", 639 | 479 << 14)
EXTENDED = RIFF + b"VP8X" + b"\0" * 8 + (639).to_bytes(3, "little") + (479).to_bytes(3, "little")


@pytest.mark.parametrize(
    ("data", "kind"),
    [(PNG, "png"), (JPEG, "jpeg"), (LOSSY, "webp"), (LOSSLESS, "webp"), (EXTENDED, "webp")],
    ids=["png", "jpeg", "lossy", "lossless", "extended"],
)
def test_kinds(data: bytes, kind: str) -> None:
    assert read_image_info(data) == ImageInfo(f"image/{kind}", 640, 480)
    for size in range(len(data)):
        cut = read_image_info(data[:size])
        assert cut is None or cut == ImageInfo(f"image/{kind}", 640, 480)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GIF89a",
        b"<svg/>",
        b"\xff\xd8\xff\xe0\xff\xff",
        b"\xff\xd8\xff\xda\0\2xx",
        RIFF + b"ABCD",
        b"\xff\xd8\xff\0",
    ],
)
def test_anything_else(data: bytes) -> None:
    assert read_image_info(data) is None
