"""Messages and answers: read, send, edit, ask again, delete, stop."""

from __future__ import annotations

import re
import uuid
from typing import Annotated, Any, Final

import msgspec
from asgiref.sync import async_to_sync
from django.http import HttpRequest
from ninja import Header, Query, Router, Schema
from pydantic import Field

from chat.api.errors import invalid
from chat.api.rest import conversations
from chat.api.rest.access import READS, SENDS, WRITES, access_of, network_of, user_id_of
from chat.api.rest.answers import answers
from chat.api.rest.cursors import bad_cursor, make_cursor, read_cursor
from chat.api.rest.schemas import (
    MOST,
    AcceptedOut,
    FirstMessageIn,
    MessageChange,
    MessageIn,
    MessageOut,
    OptionsIn,
    Page,
    RegenerateIn,
    VersionIn,
)
from chat.conversations.member_branches import tip_of
from chat.conversations.membership import member_of, open_conversation
from chat.conversations.snapshot import read_state
from chat.models import Message, Run
from chat.protocol.commands import (
    AnyTurn,
    MessageContinue,
    MessageEdit,
    MessageRegenerate,
    MessageSend,
    RunStop,
    TurnOptions,
)
from chat.protocol.errors import NotFound
from chat.realtime import rate_limits
from chat.telemetry import tracing
from chat.turns import stop
from chat.turns.changing import delete_message, edit_message
from chat.turns.submit import submit

Key = Annotated[str, Header("", alias="Idempotency-Key")]
_KEY: Final = re.compile(r"[\x21-\x7e]{1,200}")

router = Router(tags=["messages"])


class Which(Schema):
    leaf: uuid.UUID | None = Field(None, description="The branch that ends here. Null: the one the user looks at.")
    limit: int = Field(50, ge=1, le=MOST)
    cursor: str = ""


@router.get(
    "/conversations/{uuid:conversation_id}/messages", auth=READS, response=answers(Page[MessageOut]),
    summary="Read the messages of a branch",
)  # fmt: skip
def list_messages(request: HttpRequest, conversation_id: uuid.UUID, which: Query[Which]) -> dict[str, Any]:
    """The newest messages of a branch, the oldest of them first. `next_cursor` leads to those before. Answers in
    progress have the text that they have so far.
    """
    user_id = user_id_of(request)
    member_of(user_id, conversation_id)
    leaf = which.leaf or tip_of(user_id, conversation_id)
    if which.cursor:
        leaf = _parent_of(conversation_id, read_cursor(which.cursor))
    if leaf is None:
        return {"data": [], "next_cursor": None}
    state = async_to_sync(read_state)(conversation_id, limit=which.limit, leaf=leaf, reader=user_id)
    first = state.messages[0]["id"] if state.has_more and state.messages else None
    return {"data": state.messages, "next_cursor": make_cursor(first)}


def _parent_of(conversation_id: uuid.UUID, name: str) -> uuid.UUID | None:
    try:
        rows = Message.objects.filter(pk=uuid.UUID(name), conversation_id=conversation_id)
    except ValueError:
        raise bad_cursor() from None
    found = rows.values_list("parent_id", flat=True)
    if not found:
        raise bad_cursor()
    return found[0]


@router.get("/messages/{uuid:message_id}", auth=READS, response=answers(MessageOut), summary="Read a message")
def read_message(request: HttpRequest, message_id: uuid.UUID) -> dict[str, Any]:
    """Of an answer in progress the text so far; `run.status` says whether it has ended."""
    user_id = user_id_of(request)
    conversation_id = _conversation_of(message_id)
    member_of(user_id, conversation_id)
    state = async_to_sync(read_state)(conversation_id, limit=1, leaf=message_id, reader=user_id)
    for message in state.messages:
        if message["id"] == str(message_id):
            return message
    raise NotFound


@conversations.router.post("", auth=SENDS, response=answers(AcceptedOut, 202), summary="Begin a conversation")
def begin_conversation(request: HttpRequest, message: FirstMessageIn, key: Key = "") -> tuple[int, dict[str, Any]]:
    """Its first message creates it."""
    command = MessageSend(
        conversation_id=None, client_id=_client_id(request, key), text=message.text, model=message.model,
        attachments=message.attachments, temporary=message.temporary, preset_id=message.preset_id,
        folder_id=message.folder_id, options=_options(message.options),
    )  # fmt: skip
    return 202, _submit(request, command)


@router.post(
    "/conversations/{uuid:conversation_id}/messages", auth=SENDS, response=answers(AcceptedOut, 202),
    summary="Send a message",
)  # fmt: skip
def send_message(
    request: HttpRequest, conversation_id: uuid.UUID, message: MessageIn, key: Key = ""
) -> tuple[int, dict[str, Any]]:
    """The answer is written afterwards. The same `Idempotency-Key` finds the same message again."""
    command = MessageSend(
        conversation_id=conversation_id, client_id=_client_id(request, key), text=message.text, model=message.model,
        parent_id=message.parent_id, attachments=message.attachments, ask=message.ask,
        options=_options(message.options),
    )  # fmt: skip
    return 202, _submit(request, command)


@router.post(
    "/messages/{uuid:message_id}/versions", auth=SENDS, response=answers(AcceptedOut, 202),
    summary="Ask with another text",
)  # fmt: skip
def send_version(
    request: HttpRequest, message_id: uuid.UUID, version: VersionIn, key: Key = ""
) -> tuple[int, dict[str, Any]]:
    """A branch beside this question."""
    command = MessageEdit(
        message_id=message_id, client_id=_client_id(request, key), text=version.text,
        attachments=version.attachments, options=_options(version.options),
    )  # fmt: skip
    return 202, _submit(request, command)


@router.post(
    "/messages/{uuid:message_id}/regenerate", auth=SENDS, response=answers(AcceptedOut, 202),
    summary="Ask for another answer",
)  # fmt: skip
def regenerate(
    request: HttpRequest, message_id: uuid.UUID, wanted: RegenerateIn, key: Key = ""
) -> tuple[int, dict[str, Any]]:
    command = MessageRegenerate(
        message_id=message_id, client_id=_client_id(request, key), model=wanted.model, options=_options(wanted.options)
    )
    return 202, _submit(request, command)


@router.post(
    "/messages/{uuid:message_id}/continue", auth=SENDS, response=answers(AcceptedOut, 202), summary="Continue an answer"
)  # fmt: skip
def continue_answer(request: HttpRequest, message_id: uuid.UUID, key: Key = "") -> tuple[int, dict[str, Any]]:
    """An answer that was cut goes on in the same message."""
    return 202, _submit(request, MessageContinue(message_id=message_id, client_id=_client_id(request, key)))


@router.patch("/messages/{uuid:message_id}", auth=WRITES, response=answers(MessageOut), summary="Edit it in place")
def change_message(request: HttpRequest, message_id: uuid.UUID, change: MessageChange) -> dict[str, Any]:
    """No model is asked."""
    edit_message(user_id_of(request), message_id, change.text, change.seen)
    return read_message(request, message_id)


@router.delete("/messages/{uuid:message_id}", auth=WRITES, response=answers(None, 204), summary="Delete its text")
def remove_message(request: HttpRequest, message_id: uuid.UUID) -> tuple[int, None]:
    """It keeps its place in the conversation."""
    delete_message(user_id_of(request), message_id)
    return 204, None


@router.post("/runs/{uuid:run_id}/stop", auth=SENDS, response=answers(None, 204), summary="Stop an answer")
def stop_run(request: HttpRequest, run_id: uuid.UUID) -> tuple[int, None]:
    """What was written until then stays. An answer that has ended stays as it is."""
    access = access_of(request)

    async def stopping() -> None:
        await rate_limits.acquire(
            rate_limits.limits_of(RunStop(run_id=run_id), access.user_id, access.session_hash, "")
        )
        await stop.stop(access.user_id, run_id)

    async_to_sync(stopping)()
    return 204, None


def _submit(request: HttpRequest, command: AnyTurn) -> dict[str, Any]:
    """Submits a turn as the page does, and says where its answer will be."""
    access, address = access_of(request), network_of(request)
    is_shared = False
    if isinstance(command, MessageSend) and command.conversation_id is not None:
        _name, is_shared, _tip = open_conversation(access.user_id, command.conversation_id)
    command = msgspec.structs.replace(command, traceparent=tracing.current.get() or None)
    limits = rate_limits.limits_of(command, access.user_id, access.session_hash, address, lambda _: is_shared)

    async def submitting() -> Any:
        await rate_limits.acquire(limits)
        return await submit(access.user_id, command, token_id=access.token_id)

    accepted = async_to_sync(submitting)().accepted
    run_id = accepted.asked_run_id
    answer = Run.objects.filter(pk=run_id).values_list("message_id", flat=True).first() if run_id else None
    return {
        "conversation_id": accepted.conversation_id, "message_id": accepted.message_id, "held": accepted.held,
        "duplicate": accepted.duplicate, "answer": {"message_id": answer, "run_id": run_id} if answer else None,
    }  # fmt: skip


def _options(given: OptionsIn | None) -> TurnOptions | None:
    return TurnOptions(**given.dict(exclude_none=True)) if given else None


def _client_id(request: HttpRequest, key: str) -> uuid.UUID:
    """The id of a command: the same for the same key of a token. Raises `ApiError`."""
    if not key:
        return uuid.uuid4()
    if not _KEY.fullmatch(key):
        raise invalid("'Idempotency-Key' can have at most 200 visible ASCII characters.", "Idempotency-Key")
    return uuid.uuid5(access_of(request).token_id, key)


def _conversation_of(message_id: uuid.UUID) -> uuid.UUID:
    found = Message.objects.filter(pk=message_id).values_list("conversation_id", flat=True).first()
    if found is None:
        raise NotFound
    return found
