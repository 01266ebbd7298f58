"""Bodies with a wrong charset, and compressed ones that are larger than they look."""

from __future__ import annotations

import bz2
import codecs
import gzip
import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from workers.tools.decoding import DecompressionError, Decompressor, decode_text

TEXT = "Grüße aus Köln – 10 €"


@pytest.mark.parametrize(
    ("body", "charset"),
    [
        (TEXT.encode(), "utf-8"),
        (TEXT.encode(), "iso-8859-1"),  # the server says what is wrong
        (TEXT.encode(), "no-such-charset"),
        (TEXT.encode(), "hex"),  # a codec of Python that is no charset
        (TEXT.encode("cp1252"), "windows-1252"),
        (TEXT.encode("utf-16"), ""),
        ("\ufeff".encode() + TEXT.encode(), ""),
    ],
)
def test_texts_are_read_whatever_the_server_says(body: bytes, charset: str) -> None:
    assert decode_text(body, charset) == TEXT


@pytest.mark.parametrize("charset", ["zip", "bz2", "base64", "hex", "rot13", "undefined"])
def test_a_charset_that_is_a_compression_is_not_even_tried(charset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body of some kilobytes would fill the memory before it is seen that it gives no text."""
    tried: list[str] = []
    real = codecs.getincrementaldecoder

    def note(encoding: str) -> Any:
        tried.append(encoding)
        return real(encoding)

    monkeypatch.setattr(codecs, "getincrementaldecoder", note)
    decode_text(zlib.compress(b"x" * 1_000_000), charset)
    assert charset not in tried
    assert "utf-8" in tried


def test_the_charset_of_the_page_is_read() -> None:
    page = '<html><head><meta charset="shift_jis"></head>東京都へようこそ'
    assert decode_text(page.encode("shift_jis"), "", is_html=True) == page


def test_a_charset_without_bytes_above_127() -> None:
    assert decode_text("東京".encode("iso-2022-jp"), "iso-2022-jp") == "東京"


def test_a_wrong_charset_is_guessed() -> None:
    text = "Über die Brücke führt ein schöner Weg für Fußgänger. " * 20
    assert decode_text(text.encode("cp1252"), "utf-8") == text


def test_a_cut_character_is_left_out() -> None:
    assert decode_text(TEXT.encode()[:-1], "utf-8") == TEXT[:-1]


@pytest.mark.parametrize("binary", [b"\x00\xff\xfe\x01" * 50, b"\xff" * 10, b""])
def test_binary_content_makes_no_error(binary: bytes) -> None:
    assert isinstance(decode_text(binary, "utf-8"), str)


def pieces(body: bytes, encoding: str, limit: int = 10_000, size: int = 7) -> bytes:
    decompressor, found = Decompressor(encoding), bytearray()
    for start in range(0, len(body), size):
        found += decompressor.feed(body[start : start + size], limit - len(found))
    return bytes(found)


def raw_deflate(data: bytes) -> bytes:
    made = zlib.compressobj(wbits=-15)
    return made.compress(data) + made.flush()


def test_compressed_bodies() -> None:
    plain = b"All of it. " * 50
    assert pieces(gzip.compress(plain), "gzip") == plain
    assert pieces(gzip.compress(plain) + gzip.compress(b"more"), "x-gzip") == plain + b"more"
    assert pieces(zlib.compress(plain), "deflate") == plain
    assert pieces(raw_deflate(plain), "deflate", size=1000) == plain
    assert pieces(plain, "identity") == plain


def test_a_bomb_makes_no_more_than_the_limit() -> None:
    bomb = gzip.compress(b"\0" * 50_000_000)
    assert len(bomb) < 60_000
    decompressor = Decompressor("gzip")
    assert len(decompressor.feed(bomb, 1000)) == 1000


@pytest.mark.parametrize(("body", "encoding"), [(b"not gzip", "gzip"), (b"x", "br"), (b"x", "gzip, gzip")])
def test_what_cannot_be_decompressed(body: bytes, encoding: str) -> None:
    with pytest.raises(DecompressionError):
        pieces(body, encoding)


@pytest.mark.parametrize("pack", [zlib.compress, bz2.compress], ids=["zlib", "bz2"])
@pytest.mark.parametrize("prefix", ["", "_codec"])
def test_a_charset_that_unpacks_is_no_charset(pack: Callable[[bytes], bytes], prefix: str) -> None:
    """Python has codecs that are compressors: 300 kB became 300 MB in a worker."""
    name = {zlib.compress: "zlib", bz2.compress: "bz2"}[pack] + prefix
    bomb = pack(b"\xff" * 50_000_000)
    tracemalloc.start()
    try:
        decode_text(bomb, name)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()
