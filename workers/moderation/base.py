"""The interface of judges: a text in, a score for each category out, one kind of error.

Every backend keeps the same rules, which one test suite checks
(tests/integration/workers/moderation/test_conformance.py):

- `judge` returns scores from 0 (nothing of it) to 1 (certainly) by our categories; a category that is missing is 0
- whatever the server sends, `judge` returns scores or raises `JudgeError`; what it cannot read is no verdict
- it does not wait on its own account: `workers.moderation.judge` limits the time and cancels it
- a cancellation closes the connection; no error and no log holds a key or the text that was judged
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from chat.models.moderation import Category
from workers.providers.base import ProviderError, TokenUsage

GARBAGE: Final = "judge_garbage"
TIMEOUT: Final = "judge_timeout"
OPEN: Final = "judge_unavailable"  # its circuit breaker is open, or its endpoint cannot be used
MOST_CHARS: Final = 12_000  # of a text in one request; a longer one is judged in pieces


PICTURE_TYPES: Final = frozenset({"image/png", "image/jpeg", "image/webp", "image/gif"})  # that a judge may read


@dataclass(frozen=True, slots=True)
class Picture:
    """An image to be judged; `media_type` is one of `PICTURE_TYPES`."""

    media_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Opinion:
    """What a judge says about a text. `usage` is what the request is billed with; None: nothing is."""

    scores: Mapping[Category, float]
    usage: TokenUsage | None = None


class JudgeError(Exception):
    """A judge gave no verdict. `code` is a code of `ProviderError` or one of the above, `detail` is for the log and for
    staff; neither holds a key or what was judged. `usage` is billed all the same.
    """

    def __init__(self, code: str, detail: str = "", usage: TokenUsage | None = None) -> None:
        super().__init__(f"{code}: {detail}" if detail else code)
        self.code = code
        self.detail = detail
        self.usage = usage


def error_of(failure: ProviderError, usage: TokenUsage | None = None) -> JudgeError:
    """The failure of an endpoint as that of a judge."""
    return JudgeError(failure.code, failure.logged_detail, usage)


class JudgeBackend(Protocol):
    """A judge of one kind. It belongs to one event loop and judges any number of texts at once."""

    @property
    def model(self) -> str:
        """The model that is asked, for the ledger."""

    @property
    def endpoint(self) -> str:
        """The server that is asked, as the ledger names it."""

    @property
    def sees(self) -> bool:
        """Whether it reads pictures. If not, `judge_picture` is not called."""

    async def judge(self, text: str) -> Opinion:
        """What it says about `text`, of at most `MOST_CHARS`.

        Raises `JudgeError`.
        """

    async def judge_picture(self, picture: Picture) -> Opinion:
        """What it says about a picture. Raises `JudgeError`."""

    async def aclose(self) -> None:
        """Ends every request and connection."""


def category_of(name: str) -> Category:
    """Our category for a name that a service uses: the same, else what is before its slash, else `other`."""
    known = name.strip().lower().replace(" ", "-").replace("_", "-")
    for candidate in (known, known.partition("/")[0]):
        if candidate in Category.values:
            return Category(candidate)
    return Category.OTHER


def highest(*found: Mapping[Category, float]) -> dict[Category, float]:
    """The highest score of each category."""
    scores: dict[Category, float] = {}
    for one in found:
        for category, score in one.items():
            scores[category] = max(score, scores.get(category, 0.0))
    return scores
