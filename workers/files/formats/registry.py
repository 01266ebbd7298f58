"""Which reader reads what: by the media type of the content, then by its kind."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from workers.files.base import Read, Unreadable

OLE: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"  # what old and encrypted Office files begin with
OLE_BYTES: Final = 4 * 1024 * 1024  # that are searched for the name of what is encrypted
ENCRYPTED: Final = "EncryptedPackage".encode("utf-16-le")

_ODF: Final = "application/vnd.oasis.opendocument."
_OOXML: Final = "application/vnd.openxmlformats-officedocument."
_MACRO: Final = "application/vnd.ms-"


def read_path(path: Path, kind: str, media_type: str, folder: Path) -> Read:
    """Reads a file. Images are written into `folder`. Raises `Unreadable`.

    `kind` is one of `chat.models.files.FileKind`, `media_type` that of the content.
    """
    _check_old(path)
    if kind == "image" and media_type != "image/svg+xml":
        from workers.files.formats.images import read_image

        return read_image(path, folder)
    if kind == "pdf":
        from workers.files.formats.pdf import read_pdf

        return read_pdf(path, folder)
    if media_type == "application/epub+zip":
        from workers.files.formats.books import read_epub

        return read_epub(path)
    if media_type.startswith(_ODF):
        from workers.files.formats.office import read_odf

        return read_odf(path)
    if media_type.startswith((f"{_OOXML}wordprocessingml", f"{_MACRO}word.document")):
        from workers.files.formats.office import read_docx

        return read_docx(path)
    if media_type.startswith((f"{_OOXML}presentationml", f"{_MACRO}powerpoint.presentation")):
        from workers.files.formats.office import read_pptx

        return read_pptx(path)
    if media_type.startswith((f"{_OOXML}spreadsheetml", f"{_MACRO}excel.sheet")):
        from workers.files.formats.tables import read_xlsx

        return read_xlsx(path)
    if media_type in ("text/html", "application/xhtml+xml"):
        from workers.files.formats.texts import read_html

        return read_html(path)
    if media_type in ("text/csv", "text/tab-separated-values"):
        from workers.files.formats.tables import read_csv

        return read_csv(path)
    if kind in ("text", "image") or (media_type.startswith("text/") and kind != "other"):
        from workers.files.formats.texts import read_text

        return read_text(path)
    raise Unreadable("unsupported")


def _check_old(path: Path) -> None:
    """Refuses the container of old Office files, which encrypted ones have, too."""
    with path.open("rb") as file:
        if file.read(len(OLE)) == OLE:
            raise Unreadable("encrypted" if ENCRYPTED in file.read(OLE_BYTES) else "old_office")
