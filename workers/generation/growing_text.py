"""A text that grows, of which a part is in the event log and a part in PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Screen(Protocol):
    """Moderation of one text: takes what a model writes, and gives what may be shown of it."""

    @property
    def held(self) -> int: ...
    def feed(self, text: str, *, last: bool = False) -> str: ...


class GrowingText:
    """`flushed_length` code points are in the log, or on their way; `saved_length` of them are in PostgreSQL, and -1
    is: not known. `text` is what everybody has already.

    With a `screen` what is fed waits until the next append and is screened then, in one piece: what the screen holds
    back or withholds is in no property of this text.
    """

    __slots__ = (
        "_base_length",
        "_flushed",
        "_pending",
        "_unscreened",
        "flushed_length",
        "on_taken",
        "saved_length",
        "screen",
    )

    def __init__(self, saved_length: int, text: str = "", screen: Screen | None = None) -> None:
        self.flushed_length = self._base_length = len(text)
        self.saved_length = saved_length
        self.screen = screen
        self._flushed: list[str] = [text] if text else []
        self._pending: list[str] = []
        self.on_taken: Callable[[str], None] | None = None  # called with what goes into the log, as it does
        self._unscreened: list[str] = []

    @property
    def has_pending(self) -> bool:
        return bool(self._pending or self._unscreened)

    @property
    def is_growing(self) -> bool:
        """Whether something was fed that is not screened yet."""
        return bool(self._unscreened)

    @property
    def is_saved(self) -> bool:
        return self.saved_length == self.flushed_length

    @property
    def text(self) -> str:
        """The whole text, including what is not in the log yet."""
        return "".join(self._flushed) + "".join(self._pending)

    def feed(self, text: str) -> bool:
        """Adds text. Returns whether nothing of it is in the log or waiting for it: the next append is urgent."""
        first = self.flushed_length == self._base_length and not self.has_pending
        (self._pending if self.screen is None else self._unscreened).append(text)
        return first

    def sift(self, *, last: bool = False) -> bool:
        """Screens what was fed; with `last` the text has ended or pauses, and nothing is held back any more. Returns
        whether there is something to append.
        """
        if self.screen is not None and (self._unscreened or (last and self.screen.held)):
            piece = "".join(self._unscreened)
            self._unscreened.clear()
            if released := self.screen.feed(piece, last=last):
                self._pending.append(released)
        return bool(self._pending)

    def take(self) -> str:
        """The text that is not in the log yet, as far as it was screened. It now counts as on its way there."""
        text = "".join(self._pending)
        self._pending.clear()
        if text:
            self._flushed.append(text)
            self.flushed_length += len(text)
            if self.on_taken is not None:
                self.on_taken(text)
        return text

    def drop_pending(self) -> None:
        self._pending.clear()
        self._unscreened.clear()

    def save(self) -> str:
        """The text in the log. From now on it counts as saved."""
        if len(self._flushed) > 1:
            self._flushed = ["".join(self._flushed)]
        self.saved_length = self.flushed_length
        return "".join(self._flushed)
