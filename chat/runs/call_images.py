"""The images that calls of a run returned, as they go back to the model: the newest ones, within bounds.

They are read from the files of the calls. What was deleted, expired or withheld is not there.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from chat.models import CallStatus, Step, ToolCall, ToolFile

MOST_IMAGES: Final = 8  # of one request
MOST_IMAGE_BYTES: Final = 10 * 1024 * 1024  # of one request
LARGEST_IMAGE: Final = 5_000_000  # bytes; no API takes larger ones
IMAGE_TYPES: Final = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})


@dataclass(frozen=True, slots=True)
class CallImages:
    """The images of one call: media types and contents. `unseen`: so many more are not sent."""

    images: Sequence[tuple[str, bytes]] = ()
    unseen: int = 0


@dataclass(frozen=True, slots=True)
class ChosenImages:
    """The files that are sent, and how many images each call has."""

    files: Sequence[uuid.UUID] = ()
    counts: dict[uuid.UUID, int] = field(default_factory=dict)


def choose_images(steps: Iterable[Step], *, sees: bool = True) -> ChosenImages:
    """Which images of these steps' calls a model is shown: the last calls' first; none if it does not see. Reads
    `step.calls` with `files`.

    Pure: no I/O.
    """
    calls = [call for step in steps for call in step.calls.all() if call.status in (CallStatus.OK, CallStatus.ERROR)]
    found = {call.pk: [file for file in call.files.all() if file.media_type in IMAGE_TYPES] for call in calls}
    chosen: list[uuid.UUID] = []
    left = MOST_IMAGE_BYTES
    for call in sorted(calls, key=_newest, reverse=True):
        for file in found[call.pk]:
            if sees and len(chosen) < MOST_IMAGES and file.size <= min(left, LARGEST_IMAGE):
                chosen.append(file.pk)
                left -= file.size
    return ChosenImages(chosen, {pk: len(files) for pk, files in found.items() if files})


def read_images(chosen: ChosenImages) -> dict[uuid.UUID, CallImages]:
    """The chosen images by the id of their call. One query; none if nothing was chosen."""
    read: dict[uuid.UUID, list[tuple[str, bytes]]] = {}
    if chosen.files:
        rows = ToolFile.objects.filter(pk__in=chosen.files).order_by("pk")
        for call_id, media_type, content in rows.values_list("call_id", "media_type", "content"):
            read.setdefault(call_id, []).append((media_type, bytes(content)))
    return {pk: CallImages(read.get(pk, ()), count - len(read.get(pk, ()))) for pk, count in chosen.counts.items()}


def _newest(call: ToolCall) -> tuple[int, int]:
    return call.step.number, call.place
