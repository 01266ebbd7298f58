"""A text that grows, of which a part is in the event log and a part in PostgreSQL."""

from __future__ import annotations


class GrowingText:
    """`flushed_length` code points are in the log, or on their way; `saved_length` of them are in PostgreSQL, and -1
    is: not known. `text` is what everybody has already.
    """

    __slots__ = ("_base_length", "_flushed", "_pending", "flushed_length", "saved_length")

    def __init__(self, saved_length: int, text: str = "") -> None:
        self.flushed_length = self._base_length = len(text)
        self.saved_length = saved_length
        self._flushed: list[str] = [text] if text else []
        self._pending: list[str] = []

    @property
    def has_pending(self) -> bool:
        return bool(self._pending)

    @property
    def is_saved(self) -> bool:
        return self.saved_length == self.flushed_length

    @property
    def text(self) -> str:
        """The whole text, including what is not in the log yet."""
        return "".join(self._flushed) + "".join(self._pending)

    def feed(self, text: str) -> bool:
        """Adds text. Returns whether it is the first to be added."""
        first = self.flushed_length == self._base_length and not self._pending
        self._pending.append(text)
        return first

    def take(self) -> str:
        """The text that is not in the log yet. From now on it counts as on its way there."""
        text = "".join(self._pending)
        self._pending.clear()
        if text:
            self._flushed.append(text)
            self.flushed_length += len(text)
        return text

    def drop_pending(self) -> None:
        self._pending.clear()

    def save(self) -> str:
        """The text in the log. From now on it counts as saved."""
        if len(self._flushed) > 1:
            self._flushed = ["".join(self._flushed)]
        self.saved_length = self.flushed_length
        return "".join(self._flushed)
