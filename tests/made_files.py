"""Files of many formats, made in a few lines: real ones, broken ones and hostile ones."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

DOCX: Final = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
PPTX: Final = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
XLSX: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
ODT: Final = "application/vnd.oasis.opendocument.text"
ODS: Final = "application/vnd.oasis.opendocument.spreadsheet"
EPUB: Final = "application/epub+zip"
_W: Final = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
_A: Final = 'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"'
_R: Final = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def zipped(entries: Mapping[str, str | bytes], *, stored: Sequence[str] = ()) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            kind = zipfile.ZIP_STORED if name in stored else zipfile.ZIP_DEFLATED
            archive.writestr(name, content, compress_type=kind)
    return made.getvalue()


def pdf(pages: Sequence[str], *, extra: str = "") -> bytes:
    """A PDF with a line of text on each page. `extra` goes into its trailer."""
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{' '.join(f'{4 + 2 * at} 0 R' for at in range(len(pages)))}] /Count {len(pages)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for at, text in enumerate(pages):
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents {5 + 2 * at} 0 R"
            " /Resources << /Font << /F1 3 0 R >> >> >>"
        )
        shown = text.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")
        drawn = f"BT /F1 12 Tf 50 780 Td ({shown}) Tj ET" if text else "0.2 0.4 0.6 rg 100 100 200 400 re f"
        objects.append(f"<< /Length {len(drawn)} >>\nstream\n{drawn}\nendstream")
    out = bytearray(b"%PDF-1.7\n")
    places = []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += f"{number} 0 obj\n{body}\nendobj\n".encode("latin-1")
    start = len(out)
    out += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode()
    out += b"".join(f"{place:010d} 00000 n \n".encode() for place in places)
    out += f"trailer << /Size {len(objects) + 1} /Root 1 0 R {extra} >>\nstartxref\n{start}\n%%EOF".encode()
    return bytes(out)


def pdf_bomb(size: int = 2**30) -> bytes:
    """A PDF of a few kilobytes, whose page is a stream that unpacks to `size` bytes."""
    packing, block = zlib.compressobj(9), b" " * 2**20
    packed = [packing.compress(block) for _ in range(size // len(block))]
    body = zlib.compress(b"".join([*packed, packing.flush()]), 9)
    filters = b"/Filter [/FlateDecode /FlateDecode] /Length %d" % len(body)
    return (
        b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\n"
        b"2 0 obj\n<< /Type /Pages /Kids [3 0 R] /Count 1 >>\nendobj\n"
        b"3 0 obj\n<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R >>\nendobj\n"
        b"4 0 obj\n<< " + filters + b" >>\nstream\n" + body + b"\nendstream\nendobj\n"
        b"trailer << /Size 5 /Root 1 0 R >>\n%%EOF"
    )


def encrypted_pdf() -> bytes:
    """A PDF whose password nobody has."""
    key = "<" + "41" * 32 + ">"
    extra = f"/Encrypt << /Filter /Standard /V 1 /R 2 /O {key} /U {key} /P -4 >> /ID [<00><00>]"
    return pdf(["Secret"], extra=extra)


def docx(paragraphs: Sequence[str], *, breaks: Sequence[int] = (), table: Sequence[Sequence[str]] = ()) -> bytes:
    """`breaks`: the paragraphs before which Word began a page."""
    body = ""
    for at, text in enumerate(paragraphs):
        mark = "<w:lastRenderedPageBreak/>" if at in breaks else ""
        body += f"<w:p><w:r>{mark}<w:t>{text}</w:t></w:r></w:p>"
    if table:
        rows = "".join(
            "<w:tr>" + "".join(f"<w:tc><w:p><w:r><w:t>{one}</w:t></w:r></w:p></w:tc>" for one in row) + "</w:tr>"
            for row in table
        )
        body += f"<w:tbl>{rows}</w:tbl>"
    return zipped(
        {
            "[Content_Types].xml": "<Types/>",
            "word/document.xml": f"<w:document {_W}><w:body>{body}</w:body></w:document>",
        }
    )


def pptx(slides: Sequence[str]) -> bytes:
    """The slides are shown in the opposite order of their numbers."""
    entries: dict[str, str] = {"[Content_Types].xml": "<Types/>"}
    order, rels = "", ""
    for number, text in enumerate(reversed(slides), 1):
        entries[f"ppt/slides/slide{number}.xml"] = f"<p:sld xmlns:p='p' {_A}><a:p><a:t>{text}</a:t></a:p></p:sld>"
        rels += f'<Relationship Id="rId{number}" Type="{_R}/slide" Target="slides/slide{number}.xml"/>'
    for number in range(len(slides), 0, -1):
        order += f'<p:sldId id="{255 + number}" r:id="rId{number}"/>'
    entries["ppt/presentation.xml"] = (
        f'<p:presentation xmlns:p="p" xmlns:r="{_R}"><p:sldIdLst>{order}</p:sldIdLst></p:presentation>'
    )
    entries["ppt/_rels/presentation.xml.rels"] = f"<Relationships>{rels}</Relationships>"
    return zipped(entries)


def xlsx(sheets: Mapping[str, Sequence[Sequence[Any]]]) -> bytes:
    from openpyxl import Workbook

    book = Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(list(row))
    made = io.BytesIO()
    book.save(made)
    return made.getvalue()


def odf(body: str, media_type: str = ODT) -> bytes:
    names = " ".join(f'xmlns:{one}="{one}"' for one in ("office", "text", "table", "draw"))
    content = f"<office:document-content {names}><office:body>{body}</office:body></office:document-content>"
    return zipped({"mimetype": media_type, "content.xml": content}, stored=["mimetype"])


def epub(chapters: Sequence[str]) -> bytes:
    items = "".join(f'<item id="c{at}" href="c{at}.xhtml"/>' for at in range(len(chapters)))
    spine = "".join(f'<itemref idref="c{at}"/>' for at in range(len(chapters)))
    entries = {
        "mimetype": EPUB,
        "META-INF/container.xml": '<container><rootfile full-path="OEBPS/book.opf"/></container>',
        "OEBPS/book.opf": f"<package><manifest>{items}</manifest><spine>{spine}</spine></package>",
    } | {f"OEBPS/c{at}.xhtml": f"<html><body><p>{text}</p></body></html>" for at, text in enumerate(chapters)}
    return zipped(entries, stored=["mimetype"])


def image(
    size: tuple[int, int] = (64, 48), kind: str = "PNG", *, mode: str = "RGB", colour: Any = "red", exif: Any = None
) -> bytes:
    from PIL import Image

    if kind in ("HEIF", "AVIF"):
        import pillow_heif

        pillow_heif.register_heif_opener()
    made = io.BytesIO()
    Image.new(mode, size, colour).save(made, kind, **({"exif": exif} if exif is not None else {}))
    return made.getvalue()


def gps_exif(orientation: int = 1) -> Any:
    """EXIF data with a place and a way to hold the camera."""
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "Camera Works"
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 4: (13.0, 24.0, 18.0)})
    return exif


def png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def pixel_bomb(width: int = 60_000, height: int = 60_000) -> bytes:
    """A PNG of few bytes that says it has billions of pixels."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", head)
        + png_chunk(b"IDAT", zlib.compress(b"\0" * 100))
        + png_chunk(b"IEND", b"")
    )


def zip_bomb() -> bytes:
    """A DOCX of 300 KB that unpacks to 300 MB."""
    return zipped({"word/document.xml": b"<a>" + b" " * (300 * 1024 * 1024) + b"</a>"})


def laughing_docx() -> bytes:
    """A DOCX whose XML defines entities that grow exponentially (billion laughs)."""
    entities = "".join(f'<!ENTITY l{at} "{f"&l{at - 1};" * 10 if at else "lol"}">' for at in range(10))
    return zipped({"word/document.xml": f"<!DOCTYPE d [{entities}]><w:document {_W}>&l9;</w:document>"})
