"""What every command of the wire protocol has (docs/protocol.md). No Django, no I/O."""

from __future__ import annotations

from typing import Annotated

import msgspec

Ref = Annotated[str, msgspec.Meta(max_length=64)]
# W3C Trace Context, version 00: 16 bytes of trace, 8 of the sender's span, flags. Neither id may be all zeros.
Traceparent = Annotated[
    str, msgspec.Meta(pattern=r"\A00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}\Z", max_length=55)
]


class Position(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A position in an event log: events up to `seq` of `epoch` are known. `seq` 0 is before the first."""

    epoch: Annotated[str, msgspec.Meta(max_length=64)]
    seq: Annotated[int, msgspec.Meta(ge=0)]


class Command(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="type"):
    """Base of all commands. `ref` is returned in the reply."""

    ref: Ref | None = None


class Traced(Command, frozen=True, kw_only=True):
    """A command that starts longer work. `traceparent`: the span of the sender's trace it belongs to."""

    traceparent: Traceparent | None = None
