"""What a content is, by its first bytes, whatever its name says."""

from __future__ import annotations

import io
import zipfile

import pytest

from chat.files.kinds import HEAD, kind_of
from tests.fixtures.attached import PNG


def zipped(*names: str, first: tuple[str, bytes] | None = None) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        if first is not None:
            archive.writestr(zipfile.ZipInfo(first[0]), first[1])
        for name in names:
            archive.writestr(name, b"x")
    return made.getvalue()


OFFICE = "application/vnd.openxmlformats-officedocument"
ODT = "application/vnd.oasis.opendocument.text"


@pytest.mark.parametrize(
    ("name", "head", "media_type", "kind"),
    [
        ("a.txt", PNG, "image/png", "image"),
        ("a.png", b"\xff\xd8\xff\xe0\x00\x10JFIF\x00", "image/jpeg", "image"),
        ("a", b"GIF89a\x01\x00\x01\x00", "image/gif", "image"),
        ("a", b"RIFF\x24\x00\x00\x00WEBPVP8 ", "image/webp", "image"),
        ("a.jpg", b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic", "image/heic", "image"),
        ("a.jpg", b"\x00\x00\x00\x1cftypmif1\x00\x00\x00\x00mif1avif", "image/avif", "image"),
        ("a.mov", b"\x00\x00\x00\x14ftypqt  \x00\x00\x00\x00qt  ", "video/quicktime", "other"),
        ("a.wav", b"RIFF\x24\x00\x00\x00WAVEfmt ", "", "other"),
        ("a.png", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "application/pdf", "pdf"),
        ("a.png", b"  <!DOCTYPE html><html>", "text/html", "document"),
        ("a.pdf", b"<html><!-- %PDF-1.7 -->", "text/html", "document"),
        ("a.png", b'<?xml version="1.0"?><!-- x --><svg xmlns="http://www.w3.org/2000/svg">', "image/svg+xml", "text"),
        ("a.docx", zipped("word/document.xml"), f"{OFFICE}.wordprocessingml.document", "document"),
        ("a", zipped("[Content_Types].xml", "xl/workbook.xml"), f"{OFFICE}.spreadsheetml.sheet", "table"),
        ("a", zipped("[Content_Types].xml", "ppt/x.xml"), f"{OFFICE}.presentationml.presentation", "document"),
        ("a.zip", zipped("content.xml", first=("mimetype", ODT.encode())), ODT, "document"),
        ("a", zipped(first=("mimetype", b"application/epub+zip")), "application/epub+zip", "document"),
        ("a.txt", zipped("a.txt"), "application/zip", "other"),
        ("a.csv", b"a;b\n1;2\n", "text/csv", "table"),
        ("a.py", b"print('x')\n", "text/plain", "text"),
        ("a.md", b"# x\n", "text/markdown", "text"),
        ("a", "Grüße".encode("latin-1") + b" aus Wien, wo es regnet", "text/plain", "text"),
        ("a", "Grüße".encode("utf-16"), "text/plain", "text"),
        ("a.txt", b"BMW builds cars, and so do others.\n", "text/plain", "text"),
        ("a.md", b"# PDF\nIt begins with %PDF-1.7.\n", "text/markdown", "text"),
        # Files that are two at once are what their first bytes say, and are read and served as that alone.
        ("a.html", b"GIF89a=1;/*\0\0*/alert(1)//<script>", "image/gif", "image"),
        ("a.pdf", b"\xff\xd8\xff\xe0\x00\x10JFIF\x00%PDF-1.4\n<script>", "image/jpeg", "image"),
        ("a.html", b"\n%PDF-1.4\n<html><script>", "application/pdf", "pdf"),
        ("a.js", b"\x00\x01junk\n%PDF-1.4\n", "application/pdf", "pdf"),
        ("a.png", zipped("a.txt") + PNG, "application/zip", "other"),
        ("a.txt", b"\x7fELF\x02\x01\x01\x00\x00", "", "other"),
        ("a.txt", b"MZ\x90\x00\x03\x00\x00\x00", "", "other"),
        ("a.txt", bytes(range(256)) * 4, "", "other"),
        ("a.txt", ("ü" * HEAD).encode()[1:], "", "other"),
    ],
)  # fmt: skip
def test_by_content(name: str, head: bytes, media_type: str, kind: str) -> None:
    found = kind_of(head, name)
    assert found.kind == kind
    if media_type:
        assert found.media_type == media_type
    else:
        assert not found.media_type.startswith(("image/", "text/"))


def test_a_character_that_the_end_of_the_head_cuts_is_text() -> None:
    assert kind_of(("a" + "ü" * HEAD).encode()[:HEAD], "a").kind == "text"


def test_nothing_is_opened_or_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("it opens something")

    monkeypatch.setattr(zipfile, "ZipFile", refuse)
    monkeypatch.setattr("builtins.open", refuse)
    kind_of(b"PK\x03\x04" + b"\0" * 5000, "a.docx")
    kind_of(PNG, "/etc/passwd")
