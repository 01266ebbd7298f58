"""Renews the leases of all runs of this process, writes their checkpoints, and applies stops that did not arrive."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import replace

import structlog

from accounts.lib.db import in_db
from accounts.lib.outage import OUTAGE
from chat.runs.claims import Checkpoint, checkpoint, renew
from chat.runs.closing import note_closed
from chat.telemetry import metrics
from workers.generation.emitter import Emitter
from workers.generation.run import Generation

logger = structlog.get_logger(__name__)


class LeaseKeeper:
    """Keeps in PostgreSQL what this process does. `active` is the process's own table of runs, which changes.

    `owner` is the name that the leases are claimed under. Every method raises a database error during an outage; the
    next round does it again.
    """

    def __init__(self, owner: str, active: Mapping[uuid.UUID, Generation], emitter: Emitter) -> None:
        self._owner = owner
        self._active = active
        self._emitter = emitter

    async def renew(self) -> None:
        """One round: to be called several times within a lease. Renews the leases, ends runs whose lease is lost, and
        stops runs whose stop message did not arrive.
        """
        held = {run_id: generation.claimed.attempt for run_id, generation in self._active.items()}
        if not held:
            return
        leases = {lease.run_id: lease for lease in await in_db(renew, list(held), self._owner)}
        for run_id, attempt in held.items():
            generation = self._active.get(run_id)
            if generation is None:
                continue
            lease = leases.get(run_id)
            if lease is None or lease.attempt != attempt:
                if not generation.finishing:
                    metrics.recoveries["lease_lost"] += 1
                    logger.warning("lease_lost", attempt=attempt, **generation.claimed.log_context())
                    generation.lose()
            elif lease.stop_requested:
                generation.stop()

    async def save(self) -> None:
        """One round of what may wait for locked tables, which the leases must not: checkpoints, and which ends are in
        the log.
        """
        await self._save_checkpoints()
        closed, self._emitter.closed = self._emitter.closed, []
        try:
            if closed:
                await note_closed(closed)
        except OUTAGE:
            self._emitter.closed += closed  # in the next round; otherwise the reaper closes them a second time
            raise

    async def _save_checkpoints(self) -> None:
        points: list[Checkpoint] = []
        for generation in self._active.values():
            point = None if generation.finishing else generation.log.checkpoint()
            if point is not None:
                points.append(
                    replace(point, endpoint=generation.answer.endpoint, reasoning_ms=generation.answer.reasoning_ms)
                )
        if not points:
            return
        saved: set[uuid.UUID] = set()
        try:
            saved = await in_db(checkpoint, points, self._owner)
        finally:
            for generation in self._active.values():
                if generation.claimed.id not in saved:
                    generation.log.forget_saved()  # saved again in the next round
