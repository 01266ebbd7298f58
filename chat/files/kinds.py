"""What a content is, by its first bytes. Nothing is decoded or parsed here: web processes ask this. Pure.

The name decides only between types whose bytes do not differ: among texts, and among Office's ZIP files.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import puremagic

from chat.files.names import ending_of
from chat.models.files import FileKind

HEAD: Final = 8_192  # bytes that decide
UNKNOWN: Final = "application/octet-stream"
# What browsers show by themselves and cannot run. Never SVG or HTML.
SHOWN_IMAGES: Final = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
PDF: Final = "application/pdf"
SVG: Final = "image/svg+xml"

_OFFICE: Final = {
    ".docx": ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", FileKind.DOCUMENT, b"word/"),
    ".pptx": ("application/vnd.openxmlformats-officedocument.presentationml.presentation", FileKind.DOCUMENT, b"ppt/"),
    ".xlsx": ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", FileKind.TABLE, b"xl/"),
}
# ZIP files whose first entry is `mimetype`, not compressed.
_NAMED_ZIPS: Final = {
    b"application/vnd.oasis.opendocument.text": FileKind.DOCUMENT,
    b"application/vnd.oasis.opendocument.presentation": FileKind.DOCUMENT,
    b"application/vnd.oasis.opendocument.spreadsheet": FileKind.TABLE,
    b"application/epub+zip": FileKind.DOCUMENT,
}
_IMAGES: Final = frozenset(
    {"image/png", "image/jpeg", "image/gif", "image/webp", "image/bmp", "image/tiff", "image/heic", "image/avif"}
)
_ALIASES: Final = {
    "image/jpg": "image/jpeg", "image/pjpeg": "image/jpeg", "image/x-ms-bmp": "image/bmp", "image/x-bmp": "image/bmp",
    "image/heif": "image/heic", "image/heic-sequence": "image/heic", "image/heif-sequence": "image/heic",
    "image/apng": "image/png", "image/vnd.mozilla.apng": "image/png", "application/x-zip-compressed": "application/zip",
}  # fmt: skip
_HEIF_BRANDS: Final = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"}
_BMP_HEADERS: Final = {size.to_bytes(4, "little") for size in (12, 16, 40, 52, 56, 64, 108, 124)}
_TABLES: Final = {".csv": "text/csv", ".tsv": "text/tab-separated-values"}
_TEXTS: Final = {".md": "text/markdown", ".json": "application/json", ".xml": "application/xml"}
_HTML: Final = re.compile(
    rb"\A(?:\xef\xbb\xbf)?\s*(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE | re.DOTALL
)
_SVG: Final = re.compile(
    rb"\A(?:\xef\xbb\xbf)?\s*(?:<\?xml.*?\?>\s*|<!--.*?-->\s*|<!doctype\s+svg.*?>\s*)*<svg\b", re.IGNORECASE | re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Kind:
    """What a content is: its media type, and how it is treated."""

    media_type: str
    kind: FileKind


def kind_of(head: bytes, name: str) -> Kind:
    """What a content is that begins with `head` (at most `HEAD` bytes, less only of a shorter content)."""
    head, ending = head[:HEAD], ending_of(name)
    if found := _image(head):
        return Kind(found, FileKind.IMAGE)
    if _is_pdf(head):
        return Kind(PDF, FileKind.PDF)
    if head.startswith(b"PK\x03\x04"):
        return _zip(head, ending)
    if _is_text(head):
        return _text(head, ending)
    return Kind(_named_by_magic(head), FileKind.OTHER)


def _is_pdf(head: bytes) -> bool:
    """Whether it is a PDF, perhaps after some bytes that readers pass over. A text that names the mark is none."""
    if head.lstrip().startswith(b"%PDF-"):
        return True
    return b"%PDF-" in head[:1024] and not _is_markup(head) and not _is_text(head)


def _image(head: bytes) -> str:
    """The media type of an image that this server reads; else empty."""
    if head[4:8] == b"ftyp":
        brands = {head[8:12], *(head[at : at + 4] for at in range(16, min(64, len(head)), 4))}
        if b"avif" in brands:
            return "image/avif"
        return "image/heic" if head[8:12] in _HEIF_BRANDS else ""
    if head.startswith(b"RIFF"):
        return "image/webp" if head[8:12] == b"WEBP" else ""
    if head.startswith(b"BM") and head[14:18] not in _BMP_HEADERS:
        return ""  # a text about a BMW
    if head.startswith((b"BM", b"\xff\xd8", b"\x89PNG", b"GIF8", b"II*\0", b"MM\0*")):
        found = _named_by_magic(head)
        return found if found in _IMAGES else ""
    return ""


def _named_by_magic(head: bytes) -> str:
    """The media type by puremagic's table of first bytes. Without a name, it opens no file and no archive."""
    try:
        found = puremagic.magic_string(head)
    except (puremagic.PureError, ValueError):
        return UNKNOWN
    media_type = next((one.mime_type for one in found if one.mime_type and one.offset == 0), "").lower()
    media_type = _ALIASES.get(media_type, media_type)
    return media_type if re.fullmatch(r"[a-z]+/[a-z0-9.+-]{1,80}", media_type) else UNKNOWN


def _zip(head: bytes, ending: str) -> Kind:
    if head[30:38] == b"mimetype":
        declared = head[38:120]
        for named, kind in _NAMED_ZIPS.items():
            if declared.startswith(named):
                return Kind(named.decode(), kind)
    for office, (media_type, kind, folder) in _OFFICE.items():
        if ending == office or folder in head:
            return Kind(media_type, kind)
    return Kind("application/zip", FileKind.OTHER)


def _is_text(head: bytes) -> bool:
    """Whether the bytes are those of a text: UTF-8, UTF-16 with its mark, or one byte for each character."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return len(head) > 3
    controls = sum(byte < 32 and byte not in b"\t\n\r\f\x1b" for byte in head)
    if controls:
        return False
    try:
        head.decode()
    except UnicodeDecodeError as error:
        if error.start >= len(head) - 3 and len(head) == HEAD:
            return True  # a character that the end of `head` cuts
        high = sum(byte >= 0x80 for byte in head)
        return high * 3 < len(head)  # Latin-1 and its like
    return bool(head)


def _is_markup(head: bytes) -> bool:
    return bool(_HTML.match(head) or _SVG.match(head))


def _text(head: bytes, ending: str) -> Kind:
    if _SVG.match(head):
        return Kind(SVG, FileKind.TEXT)
    if _HTML.match(head) or ending in (".html", ".htm", ".xhtml"):
        return Kind("text/html", FileKind.DOCUMENT)
    if ending in _TABLES:
        return Kind(_TABLES[ending], FileKind.TABLE)
    return Kind(_TEXTS.get(ending, "text/plain"), FileKind.TEXT)
