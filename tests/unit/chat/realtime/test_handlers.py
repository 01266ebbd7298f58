"""Every command of the protocol has exactly one handler."""

from __future__ import annotations

import typing

from chat.protocol.commands import AnyCommand
from chat.realtime import attention, deciding, microphone, reading, speaking, subscriptions, turns, waiting_line
from chat.realtime.command_runner import AT_ONCE
from chat.realtime.consumer import HANDLERS


def test_every_command_has_one_handler() -> None:
    parts = (attention, deciding, turns, subscriptions, reading, microphone, speaking, waiting_line)
    registered = [*(command for part in parts for command in part.HANDLERS), *AT_ONCE]
    assert len(registered) == len(set(registered))
    assert set(registered) == set(typing.get_args(AnyCommand))
    assert set(HANDLERS) == set(registered) - set(AT_ONCE)
