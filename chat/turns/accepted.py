"""What a command made, and how the same command sent again is recognised."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from chat.conversations.membership import member_of
from chat.eventlog.store import Append
from chat.models import Run
from chat.protocol.commands import AnyTurn, MessageSend, QueuedSend
from chat.protocol.errors import Conflict
from chat.turns.statements import find_submission

Check = Callable[[uuid.UUID], None]


@dataclass(slots=True)
class Accepted:
    """What a command made, or made before if `duplicate`; then there is nothing to announce."""

    conversation_id: uuid.UUID
    message_id: uuid.UUID  # the user's message; of a regeneration, the new answer
    asked_run_id: uuid.UUID | None  # with several answers side by side, of the first one; None: the message asks nobody
    announcements: Sequence[Append] = ()  # one for each run; of a message that asks nobody, one
    several: Sequence[Run] = ()  # the runs of answers side by side
    members: list[uuid.UUID] = field(default_factory=list)  # whose lists of conversations change
    listing: dict[str, Any] = field(default_factory=dict)  # what they then show
    continues: bool = False  # the run extends a message that was there already
    held: bool = False  # the message waits for a reviewer, and no run is queued
    mentioned: Sequence[uuid.UUID] = ()  # members who are told that the message mentions them
    unnotified: bool = False  # they are not told: its author has mentioned too many people

    @property
    def duplicate(self) -> bool:
        return not self.announcements

    @property
    def run_id(self) -> uuid.UUID:
        """The run, or the first one, of a message that asks."""
        assert self.asked_run_id is not None
        return self.asked_run_id

    @property
    def runs(self) -> list[uuid.UUID]:
        """The ids of its runs; none if it asks nobody."""
        return [run.pk for run in self.several] or ([self.asked_run_id] if self.asked_run_id else [])


def accept_any(conversation_id: uuid.UUID) -> None:
    """The check of callers that have no limit of their own."""


def fingerprint_of(command: AnyTurn) -> bytes:
    """SHA-256 of what a command asks for, without the fields that only identify it."""
    if isinstance(command, QueuedSend):
        return command.fingerprint
    body = msgspec.structs.asdict(command)
    for name in ("ref", "client_id", "traceparent", "when_busy"):
        body.pop(name, None)
    for name in ("temporary", "preset_id", "options", "models", "folder_id"):
        if not body.get(name):
            body.pop(name, None)  # fingerprints from before these fields existed stay valid
    if not isinstance(command, MessageSend) and body.get("attachments") is None:
        body.pop("attachments", None)  # likewise
    for name in ("top_p", "placed", "notes", "choice", "one_call"):
        if not body.get(name):
            body.pop(name, None)  # likewise
    if body.get("logprobs") is None:
        body.pop("logprobs", None)  # likewise
    if body.get("ask") is None:
        body.pop("ask", None)  # likewise; a message that asks nobody is another one
    return hashlib.sha256(msgspec.json.encode([type(command).__name__, body])).digest()


def find_known(
    user_id: uuid.UUID, client_id: uuid.UUID, fingerprint: bytes, *, continues: bool = False
) -> Accepted | None:
    """What a command made when it was carried out before, or None. Raises `Conflict` if it was another command."""
    row = find_submission(user_id, client_id)
    if row is None:
        return None
    known, conversation_id, message_id, run_id = row
    if known != fingerprint:
        raise Conflict
    member_of(user_id, conversation_id)
    return Accepted(
        conversation_id, message_id, run_id, several=_asked_together(message_id, run_id), continues=continues
    )  # fmt: skip


def _asked_together(message_id: uuid.UUID, run_id: uuid.UUID | None) -> list[Run]:
    """The runs that a command made side by side, of which `run_id` is the first; none if it made only one."""
    runs = Run.objects.filter(prompt=message_id, slot__gt=0, part=1).order_by("slot", "created_at", "id")
    first = {run.slot: run for run in reversed(runs)}  # later ones tried again
    return [first[slot] for slot in sorted(first)] if first and first[min(first)].pk == run_id else []
