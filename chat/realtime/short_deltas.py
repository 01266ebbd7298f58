"""The short form of deltas (docs/protocol.md §2), for connections that ask for it. No Django, no I/O.

A delta has some twenty bytes of text in about 190 of JSON, nearly all of which the connection was sent before. So a
text gets an alias with the first delta of it on this connection, and what continues it exactly is `[alias, text]`.
"""

from __future__ import annotations

from typing import Any, Final

from chat.eventlog.replay import read_delta
from chat.protocol.frames import stamp

ALIASES: Final = 256  # that a client keeps: the newest ones of a connection
TEXTS: Final = 16  # of one conversation that are continued at the same time; others begin with a whole delta again

_INDEX: Final = b',"index":'
_TEXT: Final = b',"text":'

Texts = dict[bytes, list[int]]  # of one cursor: what names a text -> its alias, and where the next delta begins


class ShortDeltas:
    """The aliases of one connection."""

    __slots__ = ("_next",)

    def __init__(self) -> None:
        self._next = 0

    def frame(self, texts: Texts, seq: int, message: dict[str, Any]) -> str:
        """The frame of a live delta whose `seq` is the one after the cursor's. `texts` are the cursor's own, which
        nothing but a live event has moved; `message` is the channel layer's, shared by all connections of the process.
        """
        parts = message.get("parts")
        if parts is None:
            parts = message["parts"] = split(message["b"])
        name, index, end, text = parts
        known = texts.get(name)
        if known is not None and known[1] == index and self._next - known[0] <= ALIASES:
            known[1] = end
            return f"[{known[0]},{text}]"
        texts.pop(name, None)
        if len(texts) >= TEXTS:
            del texts[next(iter(texts))]
        alias, self._next = self._next, self._next + 1
        texts[name] = [alias, end]
        return f'{{"alias":{alias},' + stamp(seq, message["b"])[1:]


def split(body: bytes) -> tuple[bytes, int, int, str]:
    """(what names the text of a logged delta, where in it the delta begins and ends in code points, its text as JSON).

    `index` and `text` are the last fields that `chat.eventlog.events` writes, and before them come ids and numbers.
    """
    delta = read_delta(body)
    at = body.index(_INDEX)
    text = body[body.index(_TEXT, at) + len(_TEXT) : -1].decode()
    return body[:at], delta.index, delta.index + len(delta.text), text
