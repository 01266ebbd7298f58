"""The contract of a tool: what a model is told about it, what it is given, what it returns, and one kind of error.

Nothing here does I/O. Our own tools and the tools of servers (MCP, OpenAPI) are the same to the loop.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, Literal, Protocol

from django.utils.translation import gettext

Effect = Literal["reads", "writes"]
"""`reads`: may be repeated without harm. `writes`: changes or sends something, so it happens at most once."""

Approval = Literal["never", "ask", "always"]
"""Whether a person must allow a call: never; until they have allowed it for longer; each time."""

MAX_OUTPUT_CHARS: Final = 256 * 1024  # of one result, as it is stored
MAX_SHOWN_CHARS: Final = 16 * 1024  # of one result, in an event
MAX_ARGUMENTS_CHARS: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Source:
    """Where something in a result comes from. The loop numbers the sources of an answer from 1."""

    title: str
    url: str
    passage: str = ""


@dataclass(frozen=True, slots=True)
class MadeFile:
    """A file that a tool made for the person."""

    name: str
    media_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Picture:
    """An image in a result. People see it as a file of the call. `content` is PNG, JPEG, GIF or WebP."""

    media_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a call returned. `text` is what the model reads. `failed`: the tool ran, and says that it failed.

    `queries` are what was searched for, `cost` what the call cost, in US dollars, None: nothing.
    """

    text: str
    failed: bool = False
    sources: Sequence[Source] = ()
    files: Sequence[MadeFile] = ()
    pictures: Sequence[Picture] = ()
    queries: Sequence[str] = ()
    cost: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """What a tool wants to know from the person: a sentence, and a JSON schema of the answer, a flat object."""

    sentence: str
    schema: Mapping[str, Any]


class ToolError(Exception):
    """Why a call gave no result, in a sentence that the model and the person read.

    It holds no secret and no internal address. `source` with `values` filled in is the `sentence`, in English as all
    that models read; where `source` is marked, `told` has it in the language that is active. `uncertain`: the call may
    have had its effect.
    """

    def __init__(
        self, source: str, values: Mapping[str, object] | None = None, *, uncertain: bool = False, detail: str = ""
    ) -> None:
        self.sentence = source % values if values else source
        super().__init__(self.sentence)
        self._source, self._values = source, values
        self.uncertain = uncertain
        self.detail = detail  # for the log

    @property
    def told(self) -> str:
        """The sentence for a person who waits for it."""
        found = gettext(self._source)
        return found % self._values if self._values else found


class QuestionAskedError(Exception):
    """The tool needs an answer of the person. The call ends without an effect, the run waits, and the same call is made
    again with `ToolContext.answers`, which has the answers to its questions in their order.
    """

    def __init__(self, question: Question) -> None:
        super().__init__(question.sentence)
        self.question = question


@dataclass(frozen=True, slots=True)
class ToolContext:
    """Whose call it is, and how long it may take.

    `call_id` is the idempotency key: the same for each try of one call, and sent along where the protocol has a place
    for it. `deadline` is in seconds of the monotonic clock. `report` shows a short sentence of progress to people.
    """

    user_id: uuid.UUID | None
    conversation_id: uuid.UUID
    run_id: uuid.UUID
    call_id: uuid.UUID
    deadline: float
    report: Callable[[str], None] = lambda sentence: None
    answers: Sequence[Mapping[str, Any]] = field(default=())


class Tool(Protocol):
    """One tool. It belongs to no run, and its calls may run side by side.

    `name` is what the model calls: 1 to 64 of `a-z A-Z 0-9 _ -`, unique among the tools of a run. `title` and
    `description` are for people and models. `parameters` is a JSON schema of type object. `server` is the slug of the
    tool server it belongs to, empty: our own. `approval` is the default where no policy says otherwise. `outside`:
    its results are content from outside (web, files, other people's servers), which may hold instructions.
    """

    @property
    def name(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def description(self) -> str: ...
    @property
    def parameters(self) -> Mapping[str, Any]: ...
    @property
    def server(self) -> str: ...
    @property
    def effect(self) -> Effect: ...
    @property
    def approval(self) -> Approval: ...
    @property
    def outside(self) -> bool: ...

    async def run(self, arguments: Mapping[str, Any], context: ToolContext) -> ToolResult:
        """Makes one call. The loop has parsed the arguments as a JSON object; the tool checks them itself.

        Raises `ToolError` for everything that may go wrong, and `QuestionAskedError`. Cancelling it ends the call, at
        the server, too.
        """
