"""Plain text, code and HTML, in whatever encoding."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from workers.files.base import MAX_CHARS, Read, Unreadable

MAX_BYTES: Final = 4 * MAX_CHARS
SAMPLE: Final = 65_536  # bytes that are looked at for the encoding
_MARKS: Final = (
    (b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe\x00\x00", "utf-32"), (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"),
)  # fmt: skip
_DECLARED: Final = re.compile(rb"<meta[^>]{0,200}charset\s*=\s*[\"']?\s*([A-Za-z0-9_:.-]{2,40})", re.IGNORECASE)


def decode(path: Path, *, html: bool = False) -> str:
    """The text of a file: UTF-8 if it is that, else by its mark, by what HTML declares, or as it looks."""
    with path.open("rb") as file:
        data = file.read(MAX_BYTES)
    for mark, name in _MARKS:
        if data.startswith(mark):
            return data.decode(name, "replace")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        if error.start > len(data) - 4:  # cut within a character
            return data.decode("utf-8", "ignore")
    declared = _DECLARED.search(data[:4096]) if html else None
    if declared is not None:
        try:
            return data.decode(declared[1].decode(), "replace")
        except LookupError:
            pass
    from charset_normalizer import from_bytes

    best = from_bytes(data[:SAMPLE]).best()
    if best is None:
        raise Unreadable("not_text")
    return data.decode(best.encoding, "replace")


def read_text(path: Path) -> Read:
    """Text or code, in parts of whole lines."""
    read = Read()
    read.add_lines(decode(path).splitlines(), "lines")
    return read


def read_html(path: Path) -> Read:
    """The main text of a page; what is all of its text where no main part is found."""
    read = Read()
    read.add_text(html_text(decode(path, html=True)))
    return read


def html_text(page: str) -> str:
    """The main text of a page as Markdown."""
    import trafilatura

    text = trafilatura.extract(page, output_format="markdown", include_comments=False, include_tables=True)
    return text or trafilatura.html2txt(page) or ""
