"""The commands of the wire protocol `chat.v1` (docs/protocol.md), and how a text frame is read. No Django, no I/O.

Commands are a tagged union checked by msgspec: unknown fields, wrong types and unknown types are refused by name.
"""

from __future__ import annotations

import json
import re
import uuid
from typing import Annotated, Final, Literal

import msgspec
from django.utils.translation import gettext as _

from chat.protocol.base import Command as Command
from chat.protocol.base import Position as Position
from chat.protocol.base import Ref
from chat.protocol.base import Traced as Traced
from chat.protocol.deciding import ToolDecide
from chat.protocol.errors import Invalid, TooLarge, UnknownCommand
from chat.protocol.limits import MAX_COMPARED, MAX_FRAME_BYTES, MAX_TEXT_BYTES, MIN_COMPARED
from chat.protocol.marks import bound_marks
from chat.protocol.options import EFFORTS as EFFORTS
from chat.protocol.options import ChosenTools as ChosenTools
from chat.protocol.options import TurnOptions as TurnOptions
from chat.protocol.queue import AnyQueueCommand
from chat.protocol.reading import AnyReadingCommand
from chat.protocol.speaking import AnySpeechCommand
from chat.protocol.surrogates import encode

ModelName = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
WhenBusy = Literal["refuse", "queue", "steer"]
ComparedModels = Annotated[list[ModelName], msgspec.Meta(min_length=MIN_COMPARED, max_length=MAX_COMPARED)]


class Subscribe(Command, frozen=True, tag="subscribe"):
    conversation_id: uuid.UUID
    position: Position | None = None


class Unsubscribe(Command, frozen=True, tag="unsubscribe"):
    conversation_id: uuid.UUID


class Turn(Traced, frozen=True, kw_only=True):
    """A command that begins a run."""

    options: TurnOptions | None = None


class MessageSend(Turn, frozen=True, tag="message.send"):
    conversation_id: uuid.UUID | None
    client_id: uuid.UUID
    text: str
    parent_id: uuid.UUID | None = None
    model: ModelName | None = None
    attachments: list[uuid.UUID] | None = None  # ids of files
    temporary: bool = False  # of a new conversation only
    preset_id: uuid.UUID | None = None  # likewise
    models: ComparedModels | None = None  # that answer side by side
    ask: bool | None = None  # whether a model is asked; None: by the conversation's rule
    when_busy: WhenBusy = "refuse"  # while an answer is in progress there
    folder_id: uuid.UUID | None = None  # of the sender's list, for a new conversation


class QueuedSend(MessageSend, frozen=True, kw_only=True):
    """A message that waited for its turn, as it is sent; no frame. It keeps its id and the command's fingerprint."""

    queued_id: uuid.UUID
    fingerprint: bytes


class ApiSend(MessageSend, frozen=True, kw_only=True):
    """A request of the API as a new conversation; no frame. `text` is all of it, as people and judges read it."""

    turns: list[tuple[str, str]]  # (role, text) as the model gets them, exactly
    head: int = 0  # how many of the first are instructions of this request alone
    token_id: uuid.UUID
    top_p: float | None = None
    placed: tuple[int, ...] = ()  # the number of the turn that each of `attachments` belongs to
    # Of the turns with calls, results and functions (`chat.protocol.functions`).
    notes: dict[int, tuple[str, str]] = msgspec.field(default_factory=dict)
    choice: str = ""  # none, required, or =name of the function that is to be called; empty: as the model likes
    one_call: bool = False  # at most one call at once
    logprobs: int | None = None  # of each token, with so many alternatives


class MessageEdit(Turn, frozen=True, tag="message.edit"):
    message_id: uuid.UUID
    client_id: uuid.UUID
    text: str
    models: ComparedModels | None = None
    ask: bool | None = None  # None: if it asked before, or else by the conversation's rule
    attachments: list[uuid.UUID] | None = None  # None: those that the message has


class MessageRegenerate(Turn, frozen=True, tag="message.regenerate"):
    message_id: uuid.UUID
    client_id: uuid.UUID
    model: ModelName | None = None


class MessageContinue(Traced, frozen=True, tag="message.continue"):
    """Extends an answer that was cut: the new run writes on in the same message."""

    message_id: uuid.UUID
    client_id: uuid.UUID


class AnswerChoose(Command, frozen=True, tag="answer.choose"):
    """Goes on with one of several answers side by side; the others stop."""

    message_id: uuid.UUID


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
    """A sign that the user writes a message in this conversation, or speaks one."""

    conversation_id: uuid.UUID
    speaking: bool = False


class Deltas(Command, frozen=True, tag="deltas"):
    """Which form the deltas of this connection have from now on."""

    short: bool


class Ping(Command, frozen=True, tag="ping"):
    pass


class Pong(Command, frozen=True, tag="pong"):
    """The answer to the server's ping."""


AnyCommand = (
    Subscribe | Unsubscribe | MessageSend | MessageEdit | MessageRegenerate | MessageContinue | AnswerChoose | RunStop
    | Ack | Typing | Deltas | Ping | Pong | AnyReadingCommand | AnySpeechCommand
    | AudioStart | AudioFlush | AudioStop | AudioCancel | AudioInterrupt | AnyQueueCommand | ToolDecide
)  # fmt: skip

NewTurn = MessageSend | MessageEdit | MessageRegenerate  # commands that begin an answer
AnyTurn = NewTurn | MessageContinue  # commands that begin a run
AnyTraced = AnyTurn | AudioStart

_decoder: msgspec.json.Decoder[AnyCommand] = msgspec.json.Decoder(AnyCommand)
_UNKNOWN_TYPE: Final = re.compile(r"Invalid value '.*' - at `\$\.type`", re.DOTALL)
# C0 and C1 controls and DEL, without tab, line feed and carriage return: no font shows them, PostgreSQL stores no NUL.
_CONTROLS: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def parse_command(frame: str) -> AnyCommand:
    """Reads one text frame. Raises `TooLarge`, `UnknownCommand` or `Invalid`, each saying what is wrong and where."""
    raw = encode(frame)
    if len(raw) > MAX_FRAME_BYTES:
        raise TooLarge(
            _("A frame can have at most %(max_frame_bytes)s bytes; this one has %(raw)s.")
            % {"max_frame_bytes": MAX_FRAME_BYTES, "raw": len(raw)}
        )
    try:
        return _decode(raw)
    except msgspec.ValidationError as error:
        if _UNKNOWN_TYPE.search(str(error)):
            raise UnknownCommand from None
        raise Invalid(f"{error}.") from None
    except (msgspec.DecodeError, RecursionError, ValueError):
        raise Invalid(_("The frame is not JSON, or nested too deeply.")) from None


def _decode(raw: bytes) -> AnyCommand:
    try:
        return _decoder.decode(raw)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        return _decoder.decode(_repair(raw))


def _repair(raw: bytes) -> bytes:
    """JSON without what strict parsers refuse and browsers write: `JSON.stringify` escapes a lone surrogate.

    Each one becomes U+FFFD. Raises `ValueError` for what is not JSON.
    """
    value = json.loads(raw, parse_constant=_refuse_constant)
    return encode(json.dumps(value, ensure_ascii=False))


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


class Named(msgspec.Struct, frozen=True):
    """How the sender names a frame: in every answer to it, so that the sender knows which command it belongs to."""

    ref: str | None = None
    client_id: str | None = None


class _Loose(msgspec.Struct):
    ref: msgspec.Raw = msgspec.Raw(b"null")
    client_id: msgspec.Raw = msgspec.Raw(b"null")


_loose_decoder = msgspec.json.Decoder(_Loose)
_name_decoder: msgspec.json.Decoder[str] = msgspec.json.Decoder(Ref)


def names_of(frame: str | None) -> Named:
    """The names in a frame that was refused, whatever else is wrong with it; without those it does not have."""
    if frame is None:
        return Named()
    try:
        raw = encode(frame)
        try:
            found = _loose_decoder.decode(raw)
        except msgspec.ValidationError:
            raise
        except msgspec.DecodeError:
            found = _loose_decoder.decode(_repair(raw))
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return Named()
    return Named(_name(found.ref), _name(found.client_id))


def _name(raw: msgspec.Raw) -> str | None:
    try:
        return _name_decoder.decode(raw)
    except msgspec.MsgspecError:
        return None


def named(command: Command) -> Named:
    """The names in a command."""
    client_id = getattr(command, "client_id", None)
    return Named(command.ref, str(client_id) if client_id is not None else None)


def clean_controls(text: str) -> str:
    """`text` without control characters and halves of characters, and with few marks on each."""
    return bound_marks(_CONTROLS.sub("", encode(text).decode()))


def clean_text(text: str, *, may_be_empty: bool = False) -> str:
    """The text of a message as it is stored: without control characters, and without halves of characters.

    Raises `Invalid` if nothing is left, unless it `may_be_empty`, and `TooLarge`.
    """
    text = clean_controls(text)
    size = len(text.encode())
    if size > MAX_TEXT_BYTES:
        raise TooLarge(
            _("A message can have at most %(max_text_bytes)s bytes; this one has %(size)s.")
            % {"max_text_bytes": MAX_TEXT_BYTES, "size": size}
        )
    if not text.strip() and not may_be_empty:
        raise Invalid(_("The text is empty."))
    return text if text.strip() else ""
