"""Removes from an image where it was taken. Nothing is decoded, and the size stays the same. Pure: no Django, no I/O.

Cameras write the place as a GPS directory of EXIF and as properties of XMP. Both are overwritten where they stand, in
whatever container: JPEG, PNG, WebP, HEIC and AVIF, TIFF.
"""

from __future__ import annotations

import re
import struct
import zlib
from typing import Final

_GPS_TAG: Final = 0x8825
_EXIF: Final = re.compile(
    rb"Exif\x00\x00(?=II\*\x00|MM\x00\*)|eXIf(?=II\*\x00|MM\x00\*)|EXIF....(?=II\*\x00|MM\x00\*)", re.DOTALL
)
_XMP: Final = re.compile(
    rb"(?P<name>[A-Za-z]{2,12}:GPS[A-Za-z]{2,30})(?:\s*=\s*\"(?P<a>[^\"<>]{1,200})\"|\s*=\s*'(?P<b>[^'<>]{1,200})'"
    rb"|>(?P<c>[^<>]{1,200})<)"
)
_ENTRIES: Final = 200  # of a directory, at most
_SIZES: Final = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}


def remove_location(data: bytearray) -> bool:
    """Overwrites the location in the bytes of an image, if there is one; returns whether there was."""
    found = False
    starts = [match.end() for match in _EXIF.finditer(data)]
    if data.startswith((b"II*\x00", b"MM\x00*")):
        starts.append(0)
    for start in starts:
        found = _blank_directory(data, start) or found
    for match in list(_XMP.finditer(data)):
        group = next(name for name in ("a", "b", "c") if match[name] is not None)
        if match[group].strip():
            data[match.start(group) : match.end(group)] = b" " * len(match[group])
            found = True
    if found and data.startswith(b"\x89PNG\r\n\x1a\n"):
        _correct_sums(data)
    return found


def _blank_directory(data: bytearray, start: int) -> bool:
    """Empties the GPS directory of the EXIF data that begins at `start`."""
    order = "<" if data[start : start + 2] == b"II" else ">"
    try:
        (first,) = struct.unpack_from(f"{order}I", data, start + 4)
        for place in _entries(data, start + first, order):
            tag, _, _, value = struct.unpack_from(f"{order}HHII", data, place)
            if tag == _GPS_TAG:
                return _empty(data, start, value, order)
    except struct.error:
        pass
    return False


def _empty(data: bytearray, start: int, directory: int, order: str) -> bool:
    entries = _entries(data, start + directory, order)
    for place in entries:
        _, kind, count, value = struct.unpack_from(f"{order}HHII", data, place)
        size = _SIZES.get(kind, 1) * count
        if 4 < size <= 10_000 and start + value + size <= len(data):
            data[start + value : start + value + size] = bytes(size)
        data[place : place + 12] = bytes(12)
    data[start + directory : start + directory + 2] = b"\0\0"
    return bool(entries)


def _entries(data: bytearray, place: int, order: str) -> list[int]:
    """Where the entries of a directory begin."""
    (count,) = struct.unpack_from(f"{order}H", data, place)
    return [place + 2 + 12 * number for number in range(min(count, _ENTRIES)) if place + 14 + 12 * number <= len(data)]


def _correct_sums(data: bytearray) -> None:
    """Corrects the check sums of a PNG's chunks."""
    at = 8
    while at + 12 <= len(data):
        (size,) = struct.unpack_from(">I", data, at)
        end = at + 8 + size
        if end + 4 > len(data):
            return
        if data.startswith((b"eXIf", b"iTXt", b"tEXt"), at + 4):
            struct.pack_into(">I", data, end, zlib.crc32(data[at + 4 : end]))
        at = end + 4
