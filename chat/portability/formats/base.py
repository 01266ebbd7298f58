"""What every format is read into: conversations with their messages, not yet checked."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from msgspec import Meta

from chat.portability.order import ImportedOrder

IMAGE: Final = "[image]"  # stands for an image, which is not imported
ATTACHMENT: Final = "[attachment]"  # stands for any other file

Id = Annotated[str, Meta(min_length=1, max_length=200)]


@dataclass(frozen=True, slots=True)
class ImportedComparison:
    """How many models were asked, and the id of the answer that was chosen; None: none was."""

    size: int
    chosen: str | None


@dataclass(frozen=True, slots=True)
class ImportedFile:
    """A file of a message or collection. `path`: where the archive has its contents, beside the JSON document."""

    id: str
    name: str
    path: str


@dataclass(frozen=True, slots=True)
class ImportedMessage:
    """A message. `parent` is another one's `id`, or None for a first one. `mine`: by the user whose export it is.

    Of an answer: the `model` that wrote it, and its place (`slot`, from 1) among answers side by side. `comparison` is
    of a question that several models answered so. `edited` is when it was edited in place. `files`: only
    of our own exports; the other formats have a word in the text for each.
    """

    id: str
    parent: str | None
    role: str
    text: str
    at: datetime | None
    mine: bool = True
    model: str = ""
    slot: int = 0
    comparison: ImportedComparison | None = None
    edited: datetime | None = None
    files: tuple[ImportedFile, ...] = ()


@dataclass(slots=True)
class ImportedConversation:
    """A conversation as its file has it. `error` is why it cannot be imported; `place` says where in the file it is.

    `native`: exported by an Antiphon, perhaps by this one, where it may still be there under its own id. `parameters`
    are fields of the conversation, which are checked. `order` is how its user kept it in their list. `document` is the
    name of the JSON document in its archive.
    """

    id: str
    title: str
    messages: list[ImportedMessage] = field(default_factory=list)
    tip: str | None = None
    error: str = ""
    place: str = ""
    native: bool = False
    parameters: dict[str, Any] = field(default_factory=dict)
    order: ImportedOrder = field(default_factory=ImportedOrder)
    document: str = ""


def timestamp(value: Any) -> datetime | None:
    """The time from seconds, or milliseconds, since 1970, as a number or as text, or from ISO 8601.

    None for anything else, and for a value outside this century.
    """
    seconds = _seconds(value)
    if seconds is not None and 946_684_800_000 < seconds < 4_102_444_800_000:
        seconds /= 1000
    if seconds is None or not 946_684_800 < seconds < 4_102_444_800:
        return None
    return datetime.fromtimestamp(seconds, UTC)


def _seconds(value: Any) -> float | None:
    if isinstance(value, int | float):
        return value
    if not isinstance(value, str):
        return None
    with contextlib.suppress(ValueError):
        return float(value)
    with contextlib.suppress(ValueError, OverflowError):
        at = datetime.fromisoformat(value.strip())
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    return None


def text_of(value: Any) -> str:
    """The value if it is text, else the empty string."""
    return value if isinstance(value, str) else ""


def names_of(value: Any) -> tuple[str, ...]:
    """The texts of a list; none of anything else."""
    return tuple(one for one in value if isinstance(one, str) and one.strip()) if isinstance(value, list) else ()


def files_of(value: Any) -> tuple[ImportedFile, ...]:
    """The files of a list of our own export; what is no file is left out."""
    found = []
    for one in value if isinstance(value, list) else ():
        if not isinstance(one, dict) or not (name := text_of(one.get("id"))[:200]):
            continue
        found.append(ImportedFile(name, text_of(one.get("name")), text_of(one.get("path"))))
    return tuple(found)
