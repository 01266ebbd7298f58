"""What is read of each format, with the marks of its pages, sheets and lines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests import made_files as made
from workers.files.base import Read, Unreadable
from workers.files.formats.registry import read_path

OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600
Reader = Callable[[bytes | str, str, str], Read]


@pytest.fixture
def read(tmp_path: Path) -> Reader:
    def _read(content: bytes | str, kind: str, media_type: str) -> Read:
        path = tmp_path / "content"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return read_path(path, kind, media_type, tmp_path)

    return _read


def labelled(found: Read) -> list[tuple[str, str]]:
    return [(part.label, part.text) for part in found.parts]


def test_pdf_has_its_pages_and_a_thumbnail(read: Reader, tmp_path: Path) -> None:
    found = read(made.pdf(["The first page of the report", "The second page of the report"]), "pdf", "application/pdf")
    assert labelled(found) == [
        ("page 1", "The first page of the report"),
        ("page 2", "The second page of the report"),
    ]
    assert found.total == 2
    assert found.thumbnail
    assert (tmp_path / "thumbnail.webp").stat().st_size > 50


def test_pages_without_text_become_images(read: Reader, tmp_path: Path) -> None:
    from PIL import Image

    found = read(made.pdf(["", "The second page has enough text"]), "pdf", "application/pdf")
    assert found.images == ["image-1.jpg"]
    with Image.open(tmp_path / "image-1.jpg") as image:
        assert max(image.size) == 2048


def test_ten_thousand_pages_are_read_up_to_the_limit(read: Reader) -> None:
    found = read(made.pdf([f"Number {at} of the pages" for at in range(1, 10_001)]), "pdf", "application/pdf")
    assert (found.total, len(found.parts), found.code) == (10_000, 2_000, "too_many_pages")


def test_docx_by_pages_and_with_tables(read: Reader) -> None:
    plain = read(made.docx(["One", "Two"], table=[["a", "b"], ["1", "2"]]), "document", made.DOCX)
    assert labelled(plain) == [("", "One\nTwo\na | b\n1 | 2")]
    paged = read(made.docx(["One", "Two", "Three"], breaks=[1, 2]), "document", made.DOCX)
    assert labelled(paged) == [("page 1", "One"), ("page 2", "Two"), ("page 3", "Three")]


def test_slides_come_in_the_order_in_which_they_are_shown(read: Reader) -> None:
    assert labelled(read(made.pptx(["Opening", "Middle", "End"]), "document", made.PPTX)) == [
        ("slide 1", "Opening"),
        ("slide 2", "Middle"),
        ("slide 3", "End"),
    ]


def test_sheets_and_rows_of_workbooks(read: Reader) -> None:
    book = made.xlsx(
        {"Prices": [["item", "price"], ["tea", 2.5], ["milk", 3.0]], "Long": [[f"row {at}" * 40] for at in range(60)]}
    )
    found = read(book, "table", made.XLSX)
    assert labelled(found)[0] == ("Prices", "item\tprice\ntea\t2.5\nmilk\t3")
    assert found.parts[1].label == "Long, rows 1-26"
    assert found.parts[-1].text.endswith("row 59" * 40)


def test_opendocument(read: Reader) -> None:
    text = (
        '<office:text><text:h text:outline-level="2">Plan</text:h>'
        '<text:p>One<text:s text:c="2"/>two</text:p></office:text>'
    )
    assert labelled(read(made.odf(text), "document", made.ODT)) == [("", "## Plan\nOne  two")]
    cell = "<table:table-cell><text:p>{}</text:p></table:table-cell>"
    row = "<table:table-row>{}</table:table-row>"
    huge = '<table:table-cell table:number-columns-repeated="16384"/>'
    cells = row.format(cell.format("a") + cell.format("b") + huge)
    table = f'<table:table table:name="Costs">{cells}</table:table>'
    sheet = f"<office:spreadsheet>{table}</office:spreadsheet>"
    assert labelled(read(made.odf(sheet, made.ODS), "table", made.ODS)) == [("Costs", "a\tb")]


def test_books_by_chapters(read: Reader) -> None:
    assert labelled(read(made.epub(["It began.", "It <b>ended</b>."]), "document", made.EPUB)) == [
        ("chapter 1", "It began."),
        ("chapter 2", "It ended."),
    ]


def test_web_pages_texts_and_tables(read: Reader) -> None:
    page = (
        "<html><head><title>T</title><script>evil()</script></head><body><article><p>"
        + "The main text. " * 20
        + "</p></article></body></html>"
    )
    found = read(page, "document", "text/html")
    assert "The main text." in found.parts[0].text
    assert "evil" not in found.parts[0].text
    assert labelled(read("a;b\n1;2\n", "table", "text/csv")) == [("", "a;b\n1;2")]
    code = read("\n".join(f"line_{at} = {at}  # {'x' * 60}" for at in range(1, 201)), "text", "text/plain")
    assert [part.label for part in code.parts] == ["lines 1-78", "lines 79-154", "lines 155-200"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252", "shift_jis", "koi8-r"])
def test_texts_in_old_encodings(read: Reader, encoding: str) -> None:
    said = {
        "shift_jis": "これは日本語の文章です。文字コードを調べます。" * 8,
        "koi8-r": "Это русский текст, и довольно длинный. " * 8,
    }
    text = said.get(encoding, "Größe und Maß, für jeden Tag. Süß und schön. " * 8).strip()
    assert read(text.encode(encoding), "text", "text/plain").parts[0].text == text


@pytest.mark.parametrize(
    ("content", "kind", "media_type", "code"),
    [
        (made.encrypted_pdf(), "pdf", "application/pdf", "encrypted"),
        (made.pdf(["Good"])[:60], "pdf", "application/pdf", "broken"),
        (b"%PDF-1.7 nothing at all", "pdf", "application/pdf", "broken"),
        (b"PK\x03\x04 cut", "document", made.DOCX, "broken"),
        (made.docx(["x"])[:-40], "document", made.DOCX, "broken"),
        (made.zipped({"other.xml": "<a/>"}), "document", made.DOCX, "broken"),
        (made.laughing_docx(), "document", made.DOCX, "broken"),
        (OLE + "EncryptedPackage".encode("utf-16-le"), "other", "application/octet-stream", "encrypted"),
        (OLE, "other", "application/msword", "old_office"),
        (b"\x7fELF\0\0", "other", "application/octet-stream", "unsupported"),
        (made.zipped({"word/document.xml": b"<a>" + b" " * 30_000_000}), "document", made.DOCX, "unpacks_too_large"),
        (made.pixel_bomb(), "image", "image/png", "too_many_pixels"),
        (made.image()[:60], "image", "image/png", "broken"),
        (b"<html>not a picture</html>", "image", "image/png", "broken"),
        (made.zipped({"xl/workbook.xml": "<nonsense/>"}), "table", made.XLSX, "broken"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_named(read: Reader, content: bytes, kind: str, media_type: str, code: str) -> None:
    with pytest.raises(Unreadable) as refused:
        read(content, kind, media_type)
    assert refused.value.code == code
