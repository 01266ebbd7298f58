"""Maintenance mode on sockets: commands that only read go on, others are refused but for staff."""

from __future__ import annotations

import uuid
from typing import Final

from accounts.auth.maintenance import RETRY_AFTER, refuses_id
from accounts.lib.db import in_db
from accounts.site import site
from chat.protocol.commands import (
    AudioCancel,
    AudioInterrupt,
    AudioStop,
    Command,
    RunStop,
    Subscribe,
    Typing,
    Unsubscribe,
)
from chat.protocol.errors import Maintenance
from chat.protocol.reading import BranchView, Seen, Visible
from chat.protocol.speaking import SpeechPlayed, SpeechStop
from chat.realtime.site_banner import is_maintenance

# What reads, what ends something that is under way, and what only says where somebody is looking.
ALLOWED: Final[frozenset[type[Command]]] = frozenset(
    {
        Subscribe, Unsubscribe, RunStop, AudioStop, AudioCancel, AudioInterrupt, Typing, BranchView, Seen, Visible,
        SpeechStop, SpeechPlayed,
    }
)  # fmt: skip


async def check_maintenance(command: Command, user_id: uuid.UUID) -> None:
    """Raises `Maintenance` for a command that writes, during maintenance, but for staff."""
    if is_maintenance() and type(command) not in ALLOWED and (said := await in_db(_refusal, user_id)):
        raise Maintenance(said, retry_after=RETRY_AFTER)


def _refusal(user_id: uuid.UUID) -> str:
    return site().maintenance_message if refuses_id(user_id) else ""
