"""How values of Django's cache are written to Redis: as MessagePack.

Django's own serializer is pickle, which runs code when it reads: whoever can write to Redis could then run code in
every web process.
"""

from __future__ import annotations

from typing import Any

import msgspec
from django.utils.functional import Promise


class MessagePackSerializer:
    """For `CACHES`' OPTIONS. Numbers, texts, bytes, dates with a time zone, lists and dictionaries keep their type.

    Tuples come back as lists, and dataclasses as dictionaries. Anything else raises `TypeError` when it is written.
    """

    def dumps(self, value: Any) -> bytes | int:
        """The stored form. Whole numbers stay as they are, so that Redis can count with them."""
        return value if type(value) is int else msgspec.msgpack.encode(value, enc_hook=_plain)

    def loads(self, data: bytes) -> Any:
        """The value. Raises `msgspec.DecodeError` for bytes that `dumps` did not write."""
        try:
            return int(data)
        except ValueError:
            return msgspec.msgpack.decode(data)


def _plain(value: Any) -> str:
    if isinstance(value, Promise):  # a text that is translated when it is shown
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be kept in the cache")
