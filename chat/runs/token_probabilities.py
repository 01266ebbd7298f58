"""The probabilities of an answer's tokens, from the worker that reads them to the program that asked for them.

They are in Redis for `KEPT_SECONDS` and nowhere else. Format: OpenAI API reference, `logprobs` of "The chat completion
object".
"""

from __future__ import annotations

import math
import uuid
import zlib
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
import structlog

from accounts.lib.outage import OUTAGE
from accounts.lib.redis import async_redis

MOST_ALTERNATIVES: Final = 20  # of a token
MOST_TOKENS: Final = 100_000  # with their alternatives, of one answer; what comes after them has no probabilities
KEPT_SECONDS: Final = 3600
MOST_TOKEN_CHARS: Final = 500

logger = structlog.get_logger(__name__)


class TokenProbabilities:
    """Collects those of one answer, in the order of its tokens."""

    def __init__(self, run_id: uuid.UUID) -> None:
        self._run_id = run_id
        self._entries: list[dict[str, Any]] = []
        self._count = 0

    def add(self, entries: Iterable[Any]) -> None:
        for entry in entries:
            read = _read(entry)
            if read is None or self._count >= MOST_TOKENS:
                self._count = MOST_TOKENS  # what follows would not stand beside its text any more
                return
            self._count += 1 + len(read["top_logprobs"])
            self._entries.append(read)

    async def store(self) -> None:
        """An outage costs the probabilities and not the answer."""
        if not self._entries:
            return
        packed = zlib.compress(msgspec.json.encode(self._entries), 1)
        try:
            await async_redis().set(_key(self._run_id), packed, ex=KEPT_SECONDS)
        except OUTAGE as error:
            logger.warning("token_probabilities_not_stored", run=str(self._run_id), error=type(error).__name__)


async def read_probabilities(run_id: uuid.UUID, text: str) -> list[dict[str, Any]] | None:
    """Those of the tokens that `text` is made of; None: there are none, or not any more. Also where a rule has changed
    the text, so that it is not made of these tokens.
    """
    try:
        packed: bytes | str | None = await async_redis().get(_key(run_id))
    except OUTAGE as error:
        logger.warning("token_probabilities_not_read", run=str(run_id), error=type(error).__name__)
        return None
    if not isinstance(packed, bytes):
        return None
    return tokens_of(text, msgspec.json.decode(zlib.decompress(packed)))


def tokens_of(text: str, entries: Sequence[dict[str, Any]]) -> list[dict[str, Any]] | None:
    """The entries whose tokens make up `text`, without those before and after it; None: they do not. Pure."""
    written = b"".join(map(_bytes_of, entries))
    begins = written.find(text.strip().encode())
    if begins < 0:
        return None
    ends, at, found = begins + len(text.strip().encode()), 0, []
    for entry in entries:
        size = len(_bytes_of(entry))
        if at < ends and at + size > begins:
            found.append(entry)
        at += size
    return found


def _bytes_of(entry: dict[str, Any]) -> bytes:
    return bytes(entry["bytes"]) if entry["bytes"] is not None else str(entry["token"]).encode()


def _read(entry: Any, *, alternatives: bool = True) -> dict[str, Any] | None:
    """A token with its probability as OpenAI has it; None: it is none."""
    if not isinstance(entry, dict):
        return None
    token, chance, octets = entry.get("token"), entry.get("logprob"), entry.get("bytes")
    if not isinstance(token, str) or len(token) > MOST_TOKEN_CHARS or "\x00" in token:
        return None
    if isinstance(chance, bool) or not isinstance(chance, int | float) or math.isnan(chance):
        return None
    known = isinstance(octets, list) and all(isinstance(one, int) and 0 <= one < 256 for one in octets)
    token = token.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    found = {"token": token, "logprob": max(float(chance), -9999.0), "bytes": octets if known else None}
    if alternatives:
        others = entry.get("top_logprobs")
        read = [_read(one, alternatives=False) for one in (others if isinstance(others, list) else [])]
        found["top_logprobs"] = [one for one in read if one is not None][:MOST_ALTERNATIVES]
    return found


def _key(run_id: uuid.UUID) -> str:
    return f"logprobs:{run_id.hex}"
