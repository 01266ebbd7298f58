"""Collects the calls of tools in one answer, from pieces as servers really send them. Pure: no I/O.

OpenAI's API sends a call's id and name first and its arguments in pieces, all with the call's index. Other servers send
every call at index 0, give each piece a new id or none, repeat or cut the name, or send the arguments as an object.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping
from typing import Any, Final

from accounts.lib.texts import gettext_noop
from workers.providers.base import ProviderError, RequestedCall
from workers.providers.http.json_values import NO_JSON, garbage, load_json, mend

MAX_CALLS: Final = 128  # of one answer; more are left out
MAX_ARGUMENTS: Final = 1_048_576  # characters of all arguments of one answer
MAX_ID: Final = 200  # characters
MAX_NAME: Final = 200
TOO_LONG: Final = gettext_noop("The model's call of a tool is too long. Please try again.")

# Around a name in the templates of Kimi, Gemini and gpt-oss.
_AROUND_NAME: Final = re.compile(r"^(?:functions|tools|default_api)[.:]|(?::\d+|<\|.*)$")
_FENCED: Final = re.compile(r"\s*```(?:json)?\s*\n(.*?)\n?\s*```\s*", re.DOTALL)
_MADE: Final = re.compile(r"call_x[0-9a-f]{16}\Z")


def make_id() -> str:
    """A name for a call to which the endpoint gave none."""
    return f"call_x{secrets.token_hex(8)}"


def is_made(call_id: str) -> bool:
    """Whether `make_id` made it, so that the endpoint does not know it."""
    return _MADE.match(call_id) is not None


class _Call:
    """A call that is not complete yet. `kept`: it is one of the first `MAX_CALLS`."""

    __slots__ = ("extra", "id", "kept", "name", "pieces", "size")

    def __init__(self, *, kept: bool) -> None:
        self.id = ""
        self.name = ""
        self.pieces: list[str] = []
        self.size = 0  # characters of all pieces
        self.extra: Any = None
        self.kept = kept

    @property
    def arguments(self) -> str:
        return "".join(self.pieces)

    @property
    def complete(self) -> bool:
        return load_json(self.arguments) is not NO_JSON


class CallCollector:
    """`offered` has the names of the tools that the model was told of, as they were sent, with their own names."""

    def __init__(self, offered: Mapping[str, str] | None = None) -> None:
        self.offered: Mapping[str, str] = offered or {}
        self.dropped = 0  # calls beyond the first `MAX_CALLS`
        self._calls: list[_Call] = []
        self._by_index: dict[int, _Call] = {}
        self._by_id: dict[str, _Call] = {}
        self._last: _Call | None = None
        self._size = 0

    def __len__(self) -> int:
        return len(self._calls)

    def add(
        self,
        index: int | None,
        call_id: str,
        name: str,
        arguments: object,
        *,
        whole: bool = False,
        extra: Any = None,
    ) -> None:
        """A piece of a call has arrived; `whole`: all of it. `arguments` is text or an object; None is nothing.

        `extra` is what its endpoint wants back with it. Raises `ProviderError` when the arguments are too long.
        """
        name = name[:MAX_NAME]
        text = arguments if isinstance(arguments, str) else "" if arguments is None else json.dumps(arguments)
        if whole and not text.strip():
            text = "{}"
        call = None if whole else self._find(index, call_id, name, text)
        if call is None:
            call = self._begin(index)
        self._last = call
        if not call.kept:
            return
        if call_id and not call.id:
            call.id = call_id
            self._by_id[call_id] = call
        if name and name != call.name:
            call.name = (call.name + name)[:MAX_NAME]
        if extra is not None:
            call.extra = extra
        again = len(text) == call.size and text == call.arguments and call.complete  # said once more as a whole
        if call.size and text.lstrip()[:1] == "{" and call.arguments.strip() == "{}":
            self._size -= call.size  # some gateways begin the arguments with an empty object
            call.pieces, call.size = [], 0
        if text and not again:
            self._size += len(text)
            if self._size > MAX_ARGUMENTS:
                detail = f"arguments of more than {MAX_ARGUMENTS} characters"
                raise ProviderError("upstream_garbage", TOO_LONG, detail=detail)
            call.pieces.append(text)
            call.size += len(text)

    def settle(self, index: int | None, call_id: str, name: str, arguments: object) -> None:
        """A call is given as a whole, perhaps once more after its pieces: this is what counts."""
        call = self._by_id.get(call_id) or (self._by_index.get(index) if index is not None else None)
        if call is not None and call.kept:
            self._size -= call.size
            call.pieces, call.size, call.name = [], 0, ""
            if index is not None:
                self._by_index[index] = call
            self.add(index, call_id, name, arguments)
        elif call is None:
            self.add(index, call_id, name, arguments, whole=True)

    def has(self, call_id: str) -> bool:
        return call_id in self._by_id

    def clear(self) -> None:
        """There are no calls after all."""
        self._calls.clear()

    def is_cut(self) -> bool:
        """Whether the arguments of the last call are not whole."""
        return bool(self._calls) and not self._calls[-1].complete

    def take(self) -> tuple[list[RequestedCall], dict[str, Any]]:
        """The calls, each with an id of its own, and what belongs to some of them, by id.

        Raises `ProviderError` when there were calls, but none has a name.
        """
        found: list[RequestedCall] = []
        extras: dict[str, Any] = {}
        for call in self._calls:
            name, call_id = mend(call.name).strip(), mend(call.id)
            if not name:
                continue
            if not call_id or len(call_id) > MAX_ID or call_id in extras:
                call_id = make_id()
            extras[call_id] = call.extra
            found.append(RequestedCall(call_id, self._own_name(name), tidy_arguments(mend(call.arguments))))
        if self._calls and not found:
            raise garbage("a call of a tool without a name")
        return found, {call_id: extra for call_id, extra in extras.items() if extra is not None}

    def _own_name(self, name: str) -> str:
        """The tool's own name. Some models write the name as their template has it: `functions.search:0`."""
        plain = _AROUND_NAME.sub("", name)
        return self.offered.get(name) or self.offered.get(plain) or name

    def _begin(self, index: int | None) -> _Call:
        call = _Call(kept=len(self._calls) < MAX_CALLS)
        if call.kept:
            self._calls.append(call)
        else:
            self.dropped += 1
        if index is not None:
            self._by_index[index] = call
        return call

    def _find(self, index: int | None, call_id: str, name: str, arguments: str) -> _Call | None:
        """The call that a piece goes on with; None: it begins another one."""
        call = self._by_index.get(index) if index is not None else self._by_id.get(call_id)
        if call is None:
            begins = name or call_id if index is not None else name and call_id
            call = None if begins else self._last
        if call is None:
            return None
        if name and call_id and call.id and call_id != call.id:
            return None  # some servers send every call at index 0; others give each piece a new id, but no name
        if name and call.name and self._begins_another(call, name, arguments):
            return None
        return call

    def _begins_another(self, call: _Call, name: str, arguments: str) -> bool:
        """Whether a piece with a name, for which nothing else tells, is of another call than `call`."""
        if call.pieces:
            if not call.complete:
                return name != call.name  # some servers repeat the name with each piece
            return bool(arguments.strip()) and arguments != call.arguments if name == call.name else True
        if name == call.name or call.name + name in self.offered:
            return False
        return call.name in self.offered and name in self.offered


def tidy_arguments(text: str) -> str:
    """Arguments as text: `{}` where there are none, without the fence of a code block, and without the quotes around
    an object that is JSON twice.
    """
    if (fenced := _FENCED.fullmatch(text)) is not None and load_json(fenced[1]) is not NO_JSON:
        text = fenced[1]
    if text.strip() in ("", "null"):
        return "{}"
    if text.lstrip().startswith('"'):
        inner = load_json(text)
        if isinstance(inner, str) and isinstance(load_json(inner), dict):
            return inner
    return text
