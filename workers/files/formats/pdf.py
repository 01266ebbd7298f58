"""PDF by PDFium: the text of each page, and images of pages without text."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from workers.files.base import LONGEST_PART, MAX_PAGES, Read, Unreadable, divide
from workers.files.formats.images import save_image, save_thumbnail

SCAN_CHARS: Final = 24  # a page with fewer is looked at as an image
SCAN_PAGES: Final = 20  # images of pages, at most
PAGE_EDGE: Final = 2_048  # pixels of the longer edge of an image
THUMBNAIL_EDGE: Final = 480


def read_pdf(path: Path, folder: Path) -> Read:
    """By pages."""
    import pypdfium2 as pdfium

    try:
        document = pdfium.PdfDocument(path)
        total = len(document)
    except pdfium.PdfiumError as error:
        words = str(error).lower()
        raise Unreadable("encrypted" if "password" in words or "security" in words else "broken") from error
    read = Read(total=total)
    if not total:
        raise Unreadable("broken")
    failed = 0
    without_text: list[int] = []
    for number in range(1, min(total, MAX_PAGES) + 1):
        try:
            page = document[number - 1]
            texts = page.get_textpage()
            text = texts.get_text_bounded()
            texts.close()
        except pdfium.PdfiumError:
            failed += 1
            continue
        if len(without_text) < SCAN_PAGES and _is_scan(page, text.strip()):
            without_text.append(number)
        for piece in divide(text.replace("\x02", "").replace("\ufffe", ""), LONGEST_PART):
            read.add(number, f"page {number}", piece)
        if number == 1:
            _draw_thumbnail(read, page, folder)
        page.close()
        if read.is_full:
            break
    if failed == min(total, MAX_PAGES):
        raise Unreadable("broken")
    for number in without_text:
        name = f"image-{number}"
        if (image := _draw(document[number - 1], PAGE_EDGE)) is not None and not _is_blank(image):
            read.images.append(save_image(image, folder, name, photo=True))
    if total > MAX_PAGES:
        read.code = "too_many_pages"
    return read


def _is_scan(page: Any, text: str) -> bool:
    """Whether a page may be a picture of text: it has no text, or next to none beside an image."""
    import pypdfium2.raw as pdfium

    if len(text) >= SCAN_CHARS:
        return False
    return not text or next(page.get_objects(filter=[pdfium.FPDF_PAGEOBJ_IMAGE], max_depth=3), None) is not None


def _draw_thumbnail(read: Read, page: Any, folder: Path) -> None:
    if (image := _draw(page, THUMBNAIL_EDGE)) is not None:
        save_thumbnail(image, folder)
        read.thumbnail = True


def _draw(page: Any, edge: int) -> Any:
    """A page as an image whose longer edge has so many pixels; None if it cannot be drawn."""
    import pypdfium2 as pdfium

    width, height = page.get_size()
    if width <= 0 or height <= 0:
        return None
    try:
        return page.render(scale=edge / max(width, height), may_draw_forms=False).to_pil().convert("RGB")
    except (pdfium.PdfiumError, ValueError):
        return None


def _is_blank(image: Any) -> bool:
    """Whether a page is of one colour."""
    lowest, highest = image.convert("L").getextrema()
    return bool(highest - lowest < 8)
