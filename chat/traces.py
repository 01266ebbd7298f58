"""Where a command belongs in its sender's trace (W3C Trace Context): from the page through the run to its log lines."""

from __future__ import annotations

import secrets
from typing import TypeVar

import msgspec

from chat.protocol import Traced

T = TypeVar("T", bound=Traced)


def trace_id(traceparent: str | None) -> str:
    """The trace of a checked `traceparent`, 32 hexadecimal digits; empty without one."""
    return traceparent[3:35] if traceparent else ""


def new_traceparent() -> str:
    """The beginning of a trace."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


def entered(command: T) -> T:
    """The command with a `traceparent`: a client that sent none gets a trace all the same."""
    if command.traceparent is None:
        command = msgspec.structs.replace(command, traceparent=new_traceparent())
    return command
