"""What may wait for locked tables does not hold up the leases, and is not lost."""

from __future__ import annotations

import uuid
from types import SimpleNamespace
from typing import Any, cast

import pytest
from django.db import OperationalError

from workers.runtime import leases
from workers.runtime.leases import LeaseKeeper


def keeper(closed: list[uuid.UUID]) -> tuple[LeaseKeeper, Any]:
    generation = SimpleNamespace(
        claimed=SimpleNamespace(id=uuid.uuid4(), attempt=1),
        finishing=False,
        log=SimpleNamespace(checkpoint=lambda: None, saved_length=0),
    )
    emitter = SimpleNamespace(closed=closed)
    active: Any = {generation.claimed.id: generation}
    return LeaseKeeper("w", active, cast("Any", emitter)), emitter


async def test_leases_are_renewed_without_writing_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[str] = []

    async def in_db(work: Any, ids: list[uuid.UUID], *_: object) -> list[SimpleNamespace]:
        called.append(work.__name__)
        return [SimpleNamespace(run_id=one, attempt=1, stop_requested=False) for one in ids]

    monkeypatch.setattr(leases, "in_db", in_db)
    held, _ = keeper([uuid.uuid4()])
    await held.renew()
    assert called == ["renew"], "a table that is locked holds up the others only"


async def test_ends_that_could_not_be_noted_are_noted_in_the_next_round(monkeypatch: pytest.MonkeyPatch) -> None:
    async def locked(*_: object) -> None:
        raise OperationalError("canceling statement due to lock timeout")

    monkeypatch.setattr(leases, "note_closed", locked)
    ended = uuid.uuid4()
    held, emitter = keeper([ended])
    with pytest.raises(OperationalError):
        await held.save()
    assert emitter.closed == [ended]
