"""Follows one run in the event log, for one request of the API.

The same machinery as for live shares: one position in the log, gaps and other epochs are read again, and so neither a
lost publication nor an outage of Redis loses text. What an answer is in the end is read from PostgreSQL.
"""

from __future__ import annotations

import asyncio
import uuid
from enum import Enum
from typing import Any, Final

import structlog

from accounts.auth.api_tokens import TokenAccess, token_still_valid
from accounts.auth.revocation import session_group, user_group
from accounts.lib.db import in_db
from accounts.lib.outage import OUTAGE
from accounts.models import TokenScope
from chat.conversations.snapshot import State
from chat.eventlog import store
from chat.eventlog.events import TERMINAL_TYPES
from chat.models import MessageStatus, WaitingFor
from chat.protocol.commands import Position
from chat.realtime.watching.follower import Follower

logger = structlog.get_logger(__name__)

_ENDED: Final = frozenset(TERMINAL_TYPES.values())
_UNDER_WAY: Final = (MessageStatus.PENDING.value, MessageStatus.STREAMING.value)


class Sign(Enum):
    """What has happened beside text."""

    ENDED = "the run has ended"
    HELD = "the run waits for a reviewer"
    CHANGED = "text that was passed on is no longer that of the answer"
    REVOKED = "the token gives no access any more"


Piece = tuple[str, str]  # ("text" or "reasoning", what is new of it)


class RunFollower(Follower):
    """Collects what is new of a run's text; `next` waits for it."""

    def __init__(self, conversation_id: uuid.UUID, run_id: uuid.UUID, access: TokenAccess) -> None:
        super().__init__(conversation_id)
        self._run_id = str(run_id)
        self._access = access
        self._length = {"text": 0, "reasoning": 0}
        self.text = ""  # all of it so far
        self._pieces: list[Piece] = []
        self._sign: Sign | None = None
        self._news = asyncio.Event()

    async def start(self) -> None:
        """Raises as `Follower.start` does."""
        await super().start()
        for group in (session_group(self._access.session_hash), user_group(self._access.user_id)):
            await store.channel_layer().group_add(group, self.channel)
        await self.on_change()  # it may have been revoked before the group was joined

    def _adopt(self, state: State) -> None:
        """Takes the first snapshot as news, too, before any event that follows it: they continue its text."""
        is_first = not self.position.epoch
        super()._adopt(state)
        if is_first:
            self.on_snapshot(state)

    async def next(self, seconds: float) -> tuple[list[Piece], Sign | None]:
        """What is new, as soon as something is, or nothing after so many seconds. Pieces come before the sign."""
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            return [], None
        pieces, self._pieces = self._pieces, []
        self._news.clear()
        return pieces, self._sign

    # --- from the follower ----------------------------------------------------------------------------------------

    def on_event(self, event: dict[str, Any], at: Position) -> None:
        if event.get("run_id") != self._run_id:
            return
        kind = event["type"]
        if kind == "run.delta":
            self._extend("text", event["index"], event["text"])
        elif kind == "run.reasoning":
            self._extend("reasoning", event["index"], event["text"])
        elif kind == "run.waiting" and event["for"] == WaitingFor.MODERATION.value:
            self._note(Sign.HELD)
        elif kind in _ENDED and not event.get("next_attempt"):
            self._note(Sign.ENDED)

    def on_snapshot(self, state: State) -> None:
        mine = next((one for one in state.messages if (one.get("run") or {}).get("run_id") == self._run_id), None)
        if mine is None:
            self._note(Sign.CHANGED)
            return
        text, under_way = mine["text"], mine["status"] in _UNDER_WAY
        if not text.startswith(self.text):
            if not under_way or not self.text.startswith(text):
                self._note(Sign.CHANGED)
            return  # else the snapshot is older than what has arrived
        self._extend("text", 0, text)
        if not under_way:
            self._note(Sign.ENDED)

    async def on_change(self) -> None:
        try:
            valid: bool = await in_db(
                token_still_valid, self._access.session_hash, self._access.user_id, TokenScope.CHAT
            )
        except OUTAGE as error:  # asked again within `chat.api.answering.CHECK_SECONDS`
            logger.warning("api_token_not_checked", error=type(error).__name__)
            return
        if not valid:
            self._note(Sign.REVOKED)

    def _extend(self, kind: str, index: int, text: str) -> None:
        length = self._length[kind]
        fresh = text[max(length - index, 0) :]
        if index > length or not fresh:
            return  # a gap is filled by a snapshot, or at the end from PostgreSQL
        self._length[kind] = length + len(fresh)
        if kind == "text":
            self.text += fresh
        if self._pieces and self._pieces[-1][0] == kind:
            self._pieces[-1] = (kind, self._pieces[-1][1] + fresh)
        else:
            self._pieces.append((kind, fresh))
        self._news.set()

    def _note(self, sign: Sign) -> None:
        if self._sign is None or sign is Sign.REVOKED:
            self._sign = sign
        self._news.set()
