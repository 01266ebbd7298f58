"""What the REST API takes and returns. Times are ISO 8601 with a zone, ids are UUIDs."""

from __future__ import annotations

import uuid
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Final, Generic, Literal, TypeVar

from ninja import Schema
from pydantic import ConfigDict, Field

T = TypeVar("T")
MOST: Final = 100  # entries of a page


class Given(Schema):
    """A request's body. Unknown fields are refused, so that a misspelt one is noticed."""

    model_config = ConfigDict(extra="forbid")


class ErrorBody(Schema):
    message: str
    type: str
    param: str | None
    code: str | None
    trace_id: str | None = Field(description="Finds the request in the site's logs.")


class ErrorOut(Schema):
    error: ErrorBody


class Page(Schema, Generic[T]):
    """One page. `next_cursor` is the `cursor` of the next one; null at the end."""

    data: list[T]
    next_cursor: str | None


class Listed(Schema, Generic[T]):
    data: list[T]


class PersonOut(Schema):
    id: uuid.UUID | None = Field(description="Null: the author of a message that was copied.")
    name: str


class MeOut(Schema):
    id: uuid.UUID
    name: str
    email: str
    scopes: list[str] = Field(description="What the token allows.")


class ConversationOut(Schema):
    id: uuid.UUID
    title: str
    created_at: datetime
    updated_at: datetime
    role: Literal["owner", "editor", "viewer"] = Field(description="The user's role.")
    model: str = Field(description="The model of the next answer. Empty: the default.")
    pinned: bool
    archived: bool
    temporary: bool


class ConversationChange(Given):
    title: str | None = None
    pinned: bool | None = None
    archived: bool | None = Field(None, description="For the token's user alone.")


class OptionsIn(Given):
    """How the model answers. `system_prompt` and `web_search` only with a conversation's first message."""

    temperature: float | None = None
    max_tokens: int | None = None
    effort: Literal["none", "low", "medium", "high"] | None = None
    tools: list[str] | None = Field(None, description="Empty: none.")
    system_prompt: str | None = None
    web_search: bool | None = None


ModelIn = Annotated[str, Field(min_length=1, max_length=200)]


class MessageIn(Given):
    text: str
    model: ModelIn | None = None
    parent_id: uuid.UUID | None = Field(None, description="The message that this one follows. Null: the newest.")
    attachments: list[uuid.UUID] | None = Field(None, description="Ids of uploaded files.")
    ask: bool | None = Field(None, description="Whether a model answers. Null: by the conversation's rule.")
    options: OptionsIn | None = None


class FirstMessageIn(Given):
    text: str
    model: ModelIn | None = None
    attachments: list[uuid.UUID] | None = None
    temporary: bool = False
    preset_id: uuid.UUID | None = None
    folder_id: uuid.UUID | None = None
    options: OptionsIn | None = None


class VersionIn(Given):
    text: str
    attachments: list[uuid.UUID] | None = Field(None, description="Null: those of the message.")
    options: OptionsIn | None = None


class RegenerateIn(Given):
    model: ModelIn | None = None
    options: OptionsIn | None = None


class MessageChange(Given):
    text: str
    seen: str | None = Field(None, description="The `edited_at` that you know, or empty; another one is refused.")


class AnswerOut(Schema):
    message_id: uuid.UUID
    run_id: uuid.UUID


class AcceptedOut(Schema):
    conversation_id: uuid.UUID
    message_id: uuid.UUID
    answer: AnswerOut | None = Field(description="Where the answer will be. Null: nobody was asked.")
    held: bool = Field(description="A rule of the site holds the message for a reviewer.")
    duplicate: bool = Field(description="The same `Idempotency-Key` was sent before.")


class UsageOut(Schema):
    input_tokens: int | None
    output_tokens: int | None
    cost: str | float | None = None
    estimated: bool = False


class RunOut(Schema):
    run_id: uuid.UUID
    model: str
    status: str
    code: str | None = Field(description="Why the answer is not whole.")
    message: str | None
    trace: str | None = None
    finish: str | None = None
    usage: UsageOut | None = None


class FileOut(Schema):
    id: uuid.UUID
    name: str
    media_type: str
    kind: str
    size: int = Field(description="Bytes.")
    state: str = Field(description="Whether its text was read.")
    reason: str | None = Field(None, description="Why it could not be read.")
    created_at: datetime | None = None
    conversation: dict[str, Any] | None = None


class MessageOut(Schema):
    id: uuid.UUID
    parent_id: uuid.UUID | None
    role: Literal["user", "assistant"]
    author: PersonOut | None
    text: str
    status: str
    created_at: datetime
    edited_at: datetime | None = None
    deleted_at: datetime | None = None
    versions: list[uuid.UUID] = Field([], description="Messages at the same place, this one among them.")
    files: list[FileOut] = Field([])
    run: RunOut | None = Field(None, description="How the answer was made.")
    moderation: dict[str, str] | None = None


class MemberOut(Schema):
    id: uuid.UUID
    name: str
    role: Literal["owner", "editor", "viewer"]
    you: bool
    email: str | None = Field(None, description="For owners, and your own.")


class MemberIn(Given):
    email: str = ""
    user_id: uuid.UUID | None = Field(None, description="Instead of the address, where the site has a directory.")
    role: str = "editor"


class RoleIn(Given):
    role: str


class UploadIn(Given):
    name: str
    size: int = Field(description="Bytes.")


class UploadOut(Schema):
    id: uuid.UUID
    name: str
    size: int
    received: int = Field(description="Bytes that have arrived: the offset of the next part.")
    chunk_bytes: int = Field(description="The most bytes of one part.")


class FilePage(Page[FileOut]):
    used: int = Field(description="Bytes that all files take.")
    limit: int | None = Field(description="Bytes that they may take. Null: no limit.")


class TextPart(Schema):
    label: str
    text: str


class TextPage(Page[TextPart]):
    pass


class QuotaOut(Schema):
    unit: str
    period: str
    model: str | None
    limit: str | float
    used: str | float
    left: str | float
    hard: bool
    near: bool
    renews_at: datetime | None
    shared_by: Any | None


class UsageRowOut(Schema):
    name: str = Field(description="The day, the model, or the conversation's id.")
    messages: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    reasoning_tokens: int
    audio_seconds: Decimal
    cost: Decimal
    unpriced: int = Field(description="Answers without a cost.")
    estimated: int = Field(description="Answers whose tokens are estimated.")


class UsageReportOut(Schema):
    since: date
    until: date
    by: str
    currency: str
    data: list[UsageRowOut]
