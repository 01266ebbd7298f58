"""What one API says differently: addresses, headers, requests, events and lists. All else is the same for every one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, ClassVar, Final, Protocol

from workers.providers.base import ANY_CALLS, CallChoice, ChatTurn, Effort, ListedModel, ToolSpec
from workers.providers.form import AnswerForm
from workers.providers.http.continuing import INSTRUCT
from workers.providers.http.json_values import Report
from workers.providers.http.listing import next_page, parse_models
from workers.providers.http.reader import AnswerReader
from workers.providers.http.tool_turns import wire_name

SSE: Final = "text/event-stream"
JSON: Final = "application/json"
PAGES: Final = 20  # of a list of models
FORCED: Final = "forced_choice"  # what models refuse: that they must call a tool
ONE_CALL: Final = "parallel_tool_calls"  # likewise that they call one at a time
GOES_ON: Final = "(The conversation goes on.)"


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes: a path below the endpoint's address, and a query."""

    path: str
    query: Mapping[str, str] = field(default_factory=dict)


class Fetch(Protocol):
    """The body of a request that is not an answer. Raises `ProviderError` or an error of the transport."""

    def __call__(self, target: Target, body: Mapping[str, Any] | None = None, /) -> Awaitable[bytes]: ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """An answer that is asked for, without what the model refuses. `refused` says whether it refuses a thing by name.

    `max_tokens` is the longest answer; None: the model's own. `unfinished`: the last turn is an answer to be continued,
    in this way (`continuing.py`); empty: it is not.

    Without `tools` no turn has calls or results; with them each call has its result. `call_no_more`: the request is to
    say that none of them may be called.
    """

    model: str
    turns: Sequence[ChatTurn]
    stream: bool
    temperature: float | None
    max_tokens: int | None
    effort: Effort | None
    refused: Callable[[str], bool]
    unfinished: str = ""
    tools: Sequence[ToolSpec] = ()
    call_no_more: bool = False
    top_p: float | None = None
    choice: CallChoice = ANY_CALLS
    form: AnswerForm | None = None
    logprobs: int | None = None  # the request is to ask for those of each token, and of so many alternatives

    @property
    def forced(self) -> str | None:
        """The name, as it is sent, of the tool that is to be called; empty: of any; None: the model may choose."""
        if self.call_no_more or not self.choice.required or self.refused(FORCED):
            return None
        return wire_name(self.choice.name) if self.choice.name else ""

    @property
    def one_call(self) -> bool:
        """Whether the request is to say that there may not be several calls at once."""
        return self.choice.one and not self.call_no_more and not self.refused(ONE_CALL)

    def refuses_effort(self, field: str) -> bool:
        """Whether the model refuses the field for the effort, or the effort that is wanted."""
        return self.refused(field) or self.refused(f"{field}:{self.effort}")

    @property
    def system(self) -> str:
        """The system prompts, for an API that wants them apart."""
        return "\n\n".join(turn.content for turn in self.turns if turn.role == "system" and turn.content.strip())

    def exchanges(self) -> list[tuple[str, list[ChatTurn]]]:
        """The user's and the assistant's turns in alternation, the user's first, and none without text or calls. Each
        role is with its turns that follow each other; results of calls are among the user's.
        """
        kept = [turn for turn in self.turns if turn.role != "system" and _says_something(turn)]
        groups = groupby(kept, key=lambda turn: "assistant" if turn.role == "assistant" else "user")
        found = [(role, list(turns)) for role, turns in groups]
        if not found or found[0][0] != "user":
            found.insert(0, ("user", [ChatTurn("user", GOES_ON)]))
        return found


def _says_something(turn: ChatTurn) -> bool:
    return bool(turn.content.strip() or turn.calls or turn.role == "tool")


class Dialect(ABC):
    """One API, for one endpoint. It does no I/O of its own."""

    kind: ClassVar[str]  # of the endpoint (`kinds.py`)
    name: ClassVar[str]  # of the API, for staff
    default_url: ClassVar[str] = ""
    accept: ClassVar[str] = SSE
    length_fields: ClassVar[tuple[str, ...]]  # names of the longest answer in a request; the first is tried first
    length_optional: ClassVar[bool] = True  # a request may leave it out
    effort_field: ClassVar[str] = "reasoning_effort"
    continues: ClassVar[str] = INSTRUCT  # how an answer is continued, where staff did not choose
    key_header: ClassVar[str] = "Authorization"
    chooses_calls: ClassVar[bool] = True  # a request can say that the model is not to call its tools
    takes_any_json: ClassVar[bool] = True  # a request can ask for JSON of any form
    gives_logprobs: ClassVar[bool] = False

    def base_url(self, address: str) -> str:
        """The address that all paths share, without a query. `address` has neither query nor credentials."""
        return address or self.default_url

    def default_query(self) -> dict[str, str]:
        """The query of every request, where the address and staff do not give one. Asked after `base_url`."""
        return {}

    def key_headers(self, key: str) -> dict[str, str]:
        """The headers that authenticate with a key."""
        return {"Authorization": f"Bearer {key}"}

    def headers(self) -> dict[str, str]:
        """Headers of every request, where staff do not give others of the same name."""
        return {}

    @abstractmethod
    def target(self, model: str, *, stream: bool) -> Target:
        """Where answers of a model are requested."""

    @abstractmethod
    def body(self, wanted: Wanted) -> dict[str, Any]:
        """The request."""

    def fields(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """The fields of a request by the names that a refusal uses for them."""
        return body

    def asks_effort(self, effort: Effort, fields: Mapping[str, Any]) -> bool:
        """Whether a request with these fields has the model think so much, for which it may need none of them."""
        return self.effort_field in fields

    def find_refused(self, words: str, sent: Mapping[str, Any]) -> str | None:
        """The name of what a refusal (in lower case) is about, for things that only this API has; None: nothing."""
        return None

    @abstractmethod
    def reader(self, secrets: tuple[str, ...], report: Report) -> AnswerReader:
        """A reader of one answer."""

    async def is_loading(self, fetch: Fetch, model: str) -> bool:
        """Whether the server will load the model into memory when it is asked for an answer, where the API tells."""
        return False

    async def list_models(self, fetch: Fetch) -> list[ListedModel]:
        """What the endpoint lists. Raises `ProviderError`, or what `fetch` raises."""
        found: dict[str, ListedModel] = {}
        query: dict[str, str] = {}
        for _ in range(PAGES):
            raw = await fetch(Target("models", query))
            before = len(found)
            for model in parse_models(raw):
                found.setdefault(model.id, model)
            query = next_page(raw)
            if not query or len(found) == before:  # the last page, or a server that sends the same one again
                break
        return list(found.values())
