"""The commands of the wire protocol `chat.v1` (docs/protocol.md), and how a text frame is read. No Django, no I/O.

Commands are a tagged union checked by msgspec: unknown fields, wrong types and unknown types are refused by name.
"""

from __future__ import annotations

import re
import uuid
from typing import Annotated, Final, Literal

import msgspec

from chat.protocol.errors import Invalid, TooLarge, UnknownCommand
from chat.protocol.limits import MAX_FRAME_BYTES, MAX_TEXT_BYTES

Ref = Annotated[str, msgspec.Meta(max_length=64)]
# W3C Trace Context, version 00: 16 bytes of trace, 8 of the sender's span, flags. Neither id may be all zeros.
Traceparent = Annotated[
    str, msgspec.Meta(pattern=r"\A00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}\Z", max_length=55)
]
ModelName = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class Position(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A position in an event log: events up to `seq` of `epoch` are known. `seq` 0 is before the first."""

    epoch: Annotated[str, msgspec.Meta(max_length=64)]
    seq: Annotated[int, msgspec.Meta(ge=0)]


class Command(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="type"):
    """Base of all commands. `ref` is returned in the reply."""

    ref: Ref | None = None


class Subscribe(Command, frozen=True, tag="subscribe"):
    conversation_id: uuid.UUID
    position: Position | None = None


class Unsubscribe(Command, frozen=True, tag="unsubscribe"):
    conversation_id: uuid.UUID


class Traced(Command, frozen=True, kw_only=True):
    """A command that starts longer work. `traceparent`: the span of the sender's trace it belongs to."""

    traceparent: Traceparent | None = None


class MessageSend(Traced, frozen=True, tag="message.send"):
    conversation_id: uuid.UUID | None
    client_id: uuid.UUID
    text: str
    parent_id: uuid.UUID | None = None
    model: ModelName | None = None
    attachments: list[uuid.UUID] | None = None
    temporary: bool = False  # of a new conversation only
    preset_id: uuid.UUID | None = None  # likewise


class MessageEdit(Traced, frozen=True, tag="message.edit"):
    message_id: uuid.UUID
    client_id: uuid.UUID
    text: str


class MessageRegenerate(Traced, frozen=True, tag="message.regenerate"):
    message_id: uuid.UUID
    client_id: uuid.UUID
    model: ModelName | None = None


class RunStop(Command, frozen=True, tag="run.stop"):
    run_id: uuid.UUID


class AudioStart(Traced, frozen=True, tag="audio.start"):
    conversation_id: uuid.UUID | None
    client_id: uuid.UUID
    encoding: Literal["pcm_s16le"]
    sample_rate: Literal[16000]
    mode: Literal["auto", "push_to_talk"]
    auto_send: bool
    language: Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}\Z")] | None = None


class AudioFlush(Command, frozen=True, tag="audio.flush"):
    recording_id: uuid.UUID


class AudioStop(Command, frozen=True, tag="audio.stop"):
    recording_id: uuid.UUID


class AudioCancel(Command, frozen=True, tag="audio.cancel"):
    recording_id: uuid.UUID


class AudioInterrupt(Command, frozen=True, tag="audio.interrupt"):
    """Barge-in: the user talked over the spoken answer, of which `heard_chars` code points had been spoken."""

    run_id: uuid.UUID
    heard_chars: Annotated[int, msgspec.Meta(ge=0, le=10_000_000)]


class Ack(Command, frozen=True, tag="ack"):
    conversation_id: uuid.UUID
    seq: Annotated[int, msgspec.Meta(ge=0)]


class Typing(Command, frozen=True, tag="typing"):
    conversation_id: uuid.UUID


class Ping(Command, frozen=True, tag="ping"):
    pass


class Pong(Command, frozen=True, tag="pong"):
    """The answer to the server's ping."""


AnyCommand = (
    Subscribe | Unsubscribe | MessageSend | MessageEdit | MessageRegenerate | RunStop | Ack | Typing | Ping | Pong
    | AudioStart | AudioFlush | AudioStop | AudioCancel | AudioInterrupt
)  # fmt: skip

AnyTurn = MessageSend | MessageEdit | MessageRegenerate  # commands that begin a run
AnyTraced = AnyTurn | AudioStart

_decoder: msgspec.json.Decoder[AnyCommand] = msgspec.json.Decoder(AnyCommand)
_probe = msgspec.json.Decoder(msgspec.Raw)
_UNKNOWN_TYPE: Final = re.compile(r"Invalid value '.*' - at `\$\.type`", re.DOTALL)


def parse_command(frame: str) -> AnyCommand:
    """Reads one text frame. Raises `TooLarge`, `UnknownCommand` or `Invalid`, each saying what is wrong and where."""
    try:
        raw = frame.encode()
    except UnicodeEncodeError:
        raise Invalid("The frame is not valid Unicode.") from None
    if len(raw) > MAX_FRAME_BYTES:
        raise TooLarge(f"A frame can have at most {MAX_FRAME_BYTES} bytes; this one has {len(raw)}.")
    try:
        return _decoder.decode(raw)
    except msgspec.ValidationError as error:
        if _UNKNOWN_TYPE.search(str(error)):
            raise UnknownCommand from None
        raise Invalid(f"{error}.") from None
    except (msgspec.DecodeError, RecursionError):
        raise Invalid("The frame is not JSON, or nested too deeply.") from None


class _Named(msgspec.Struct):
    ref: Ref | None = None


_ref_decoder = msgspec.json.Decoder(_Named)


def ref_of(frame: str) -> str | None:
    """The `ref` of an invalid frame, if it has one, so that the client can match the error to it."""
    try:
        return _ref_decoder.decode(frame).ref if len(frame) <= MAX_FRAME_BYTES else None
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
        return None


def check_text(text: str) -> str:
    """The text of a message as it is stored. Raises `Invalid` or `TooLarge`."""
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise Invalid("The text contains half of a character (a lone surrogate).") from None
    if "\x00" in text:
        raise Invalid("The text contains a NUL character.")
    if size > MAX_TEXT_BYTES:
        raise TooLarge(f"A message can have at most {MAX_TEXT_BYTES} bytes; this one has {size}.")
    if not text.strip():
        raise Invalid("The text is empty.")
    return text
