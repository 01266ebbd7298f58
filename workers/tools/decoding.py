"""Bodies of responses: decompressed within a limit, and decoded to text whatever charset they claim. Pure."""

from __future__ import annotations

import codecs
import re
import zlib
from typing import Final

from charset_normalizer import from_bytes

GUESSED_BYTES: Final = 64 * 1024
_META: Final = re.compile(rb"<meta[^>]{0,200}charset\s*=\s*[\"']?([a-zA-Z0-9_.:-]{1,40})", re.IGNORECASE)
_ASCII_ONLY: Final = ("iso-2022", "utf-16", "utf-7", "hz")  # charsets whose texts may look like UTF-8
_BOMS: Final = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


class DecompressionError(Exception):
    """The body is not compressed as it says, or in a way that was not asked for."""


class Decompressor:
    """Decompresses a body piece by piece; never makes more than it is asked for, however small the input."""

    def __init__(self, encoding: str) -> None:
        encoding = encoding.strip().lower()
        self._plain = encoding in ("", "identity")
        if not self._plain and encoding not in ("gzip", "x-gzip", "deflate"):
            raise DecompressionError(encoding)
        self._deflate = encoding == "deflate"
        self._stream = None if self._plain else zlib.decompressobj(47)  # gzip or zlib, whichever it is
        self._began = False

    def feed(self, data: bytes, limit: int) -> bytes:
        """The next part of the body, at most `limit` bytes. What is beyond the limit is lost."""
        if self._stream is None:
            return data[: max(0, limit)]
        found = bytearray()
        while data and len(found) < limit:
            if self._stream.eof:  # gzip allows several streams, one after another
                self._stream = zlib.decompressobj(47)
            try:
                found += self._stream.decompress(data, limit - len(found))
            except zlib.error as error:
                if self._began or not self._deflate:
                    raise DecompressionError(str(error)) from None
                self._stream = zlib.decompressobj(-15)  # "deflate" without zlib's header, as some servers send it
                self._began = True
                continue
            self._began = True
            data = self._stream.unused_data if self._stream.eof else self._stream.unconsumed_tail
        return bytes(found)


def decode_text(body: bytes, charset: str, *, is_html: bool = False) -> str:
    """The text of a body. What is valid UTF-8 is UTF-8, whatever the server says: then comes the charset of the header,
    that in the page, and a guess. A charset with which the body cannot be decoded is passed over.
    """
    for mark, encoding in _BOMS:
        if body.startswith(mark):
            return body.decode(encoding, errors="replace")
    claimed = [charset.lower()]
    if is_html and (found := _META.search(body, 0, 4096)) is not None:
        claimed.append(found[1].decode("ascii").lower())
    claimed = [encoding for encoding in claimed if encoding]
    order = claimed if any(encoding.startswith(_ASCII_ONLY) for encoding in claimed) else ["utf-8", *claimed]
    for encoding in order:
        if (text := _decode(body, encoding)) is not None:
            return text
    guess = from_bytes(body[:GUESSED_BYTES]).best()
    return body.decode(guess.encoding if guess is not None else "utf-8", errors="replace")


def is_text_encoding(name: str) -> bool:
    """Whether a charset is one of texts. Python also knows `zip`, `bz2`, `base64` and others under such names, by which
    a body of some kilobytes could fill the memory.
    """
    try:
        b"x".decode(name, "replace")  # an empty body is decoded by any name
    except (LookupError, ValueError):
        return False
    return True


def _decode(body: bytes, encoding: str) -> str | None:
    """The text, without a character that the end of the body cuts; None: the body is not in this charset."""
    if not is_text_encoding(encoding):
        return None
    try:
        return codecs.getincrementaldecoder(encoding)().decode(body)
    except (LookupError, ValueError, TypeError):  # or it decodes only what is whole
        return None
