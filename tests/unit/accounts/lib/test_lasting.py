"""A loop that lasts as long as its process or connection goes on after any error of one of its steps."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import Mock

import pytest
import redis

from accounts import online
from accounts.lib.lasting import failures, lasting
from chat.jobs import processes
from chat.notifications import visibility
from chat.realtime import attention, open_sockets, rate_limits, subscriptions, upkeep
from chat.voice import recordings, speeches
from tests.fixtures.web_server import server
from workers.speech.session import TranscriptionSession
from workers.speech.speaker import Speaker

Loop = Callable[[], Coroutine[Any, Any, None]]
Step = Callable[..., Coroutine[Any, Any, None]]
ROUNDS = 3


def connected() -> Any:
    return SimpleNamespace(connections=[SimpleNamespace(user_id=uuid.uuid4(), put=print)], process="here")


def rules(patch: pytest.MonkeyPatch, step: Step) -> Loop:
    patch.setattr(server, "REFRESH_SECONDS", 0)
    patch.setattr(server, "refresh_rules", step)
    patch.setattr(server, "open_sockets", connected)
    return lambda: server.WebServer._refresh_rules(cast("Any", None))


def reports(patch: pytest.MonkeyPatch, step: Step) -> Loop:
    patch.setattr(processes, "EVERY_SECONDS", 0)
    return lambda: server.WebServer._report(cast("Any", SimpleNamespace(_reporter=SimpleNamespace(report=step))))


def people(patch: pytest.MonkeyPatch, step: Step) -> Loop:
    patch.setattr(online, "EVERY_SECONDS", 0)
    patch.setattr(online, "publish_presence", step)
    return lambda: open_sockets.OpenSockets._publish_online(connected())


def banner(patch: pytest.MonkeyPatch, step: Step) -> Loop:
    patch.setattr(open_sockets, "EVERY_SECONDS", 0)
    patch.setattr(open_sockets, "in_db", step)
    return lambda: open_sockets.OpenSockets._announce_banner(connected())


def counts(patch: pytest.MonkeyPatch, step: Step) -> Loop:
    patch.setattr(rate_limits, "RENEW_SECONDS", 0)
    patch.setattr(rate_limits, "_ask", step)
    made = rate_limits.ConnectionCounts()
    made._keys["a"] = ["key"]
    return made._renew


def socket_of(step: Step) -> Mock:
    """An open socket that is always due, and renews its presence by `step`."""
    socket = Mock(user_id=uuid.uuid4(), presence=Mock(present={1}, renew=step))
    socket.connection = Mock(session_hash="", cursors={}, spawn=asyncio.ensure_future)
    socket.renew_presence = lambda: subscriptions.Subscriptions.renew_presence(socket)
    return socket


def upkeep_of(patch: pytest.MonkeyPatch, step: Step, **seconds: float) -> Loop:
    for name, value in {"TICK_SECONDS": 0.0, **seconds}.items():
        patch.setattr(upkeep, name, value)
    made = upkeep.Upkeep()
    made._due[socket_of(step)] = upkeep._Due(time.monotonic())
    return made._run


def session(patch: pytest.MonkeyPatch, step: Step) -> Loop:
    patch.setattr(upkeep, "in_db", step)
    return upkeep_of(patch, step, CHECK_SECONDS=0.0)


def presence(patch: pytest.MonkeyPatch, step: Step) -> Loop:
    return upkeep_of(patch, step, RENEW_SECONDS=0.0)


def visible(patch: pytest.MonkeyPatch, step: Step) -> Loop:
    patch.setattr(visibility, "RENEW_SECONDS", 0)
    patch.setattr(visibility, "show", step)
    of = SimpleNamespace(_user_id=uuid.uuid4(), _connection=SimpleNamespace(connection_id="a"))
    return lambda: attention.Attention._renew(cast("Any", of))


def recording(patch: pytest.MonkeyPatch, step: Step) -> Loop:
    patch.setattr(recordings, "RENEW_SECONDS", 0)
    patch.setattr(recordings, "renew", step)
    return lambda: TranscriptionSession._keep_lease(cast("Any", SimpleNamespace(recording=None, _owner="me")))


def speech(patch: pytest.MonkeyPatch, step: Step) -> Loop:
    patch.setattr(speeches, "RENEW_SECONDS", 0)
    patch.setattr(speeches, "renew", step)
    return lambda: Speaker._keep_claim(uuid.uuid4(), 1)


LOOPS = [rules, reports, people, banner, counts, session, presence, visible, recording, speech]


@pytest.mark.parametrize("make", LOOPS, ids=lambda make: make.__name__)
async def test_a_loop_survives_an_error(
    make: Callable[[pytest.MonkeyPatch, Step], Loop], monkeypatch: pytest.MonkeyPatch
) -> None:
    called, enough = 0, asyncio.Event()

    async def step(*_: Any, **__: Any) -> None:
        nonlocal called
        called += 1
        if called == ROUNDS:
            enough.set()
        await asyncio.sleep(0)
        raise LookupError("nobody thought of this")

    loop = make(monkeypatch, step)
    counted = failures.total()
    running, waiting = asyncio.ensure_future(loop()), asyncio.ensure_future(enough.wait())
    await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
    for task in (running, waiting):
        task.cancel()
    ended = await asyncio.gather(running, waiting, return_exceptions=True)
    assert called >= ROUNDS, ended
    assert failures.total() - counted >= ROUNDS - 1


def test_an_outage_is_not_counted_as_a_fault() -> None:
    counted = failures.total()

    def step() -> None:
        with lasting("step_delayed"):
            raise redis.ConnectionError

    step()
    assert failures.total() == counted


def test_a_cancellation_is_not_swallowed() -> None:
    with pytest.raises(asyncio.CancelledError), lasting("step_delayed"):
        raise asyncio.CancelledError
