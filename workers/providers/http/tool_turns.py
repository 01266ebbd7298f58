"""Turns with calls of tools and their results, as every API can take them. Pure: no I/O.

APIs refuse a call without a result and a result without a call; older parts of a conversation may have been left out.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from workers.providers.base import ChatTurn, RequestedCall, ToolImage, ToolSpec
from workers.providers.http.json_values import load_json

MAX_IMAGE: Final = 5_000_000  # bytes of an image that is sent; Anthropic takes no larger one
IMAGE_TYPES: Final = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
NO_MORE_CALLS: Final = "Do not call any more tools. Answer now, with what you know."
NO_RESULT: Final = "There is no result of this call."
NO_OUTPUT: Final = "(no output)"
NO_IMAGE: Final = "(The result has an image, which this model cannot be shown.)"
NOT_SHOWN: Final = "(The user attached images that you cannot be shown: {}. Say so if the question is about them.)"
INVALID: Final = "invalid_arguments"  # the key under which arguments are sent that are no JSON object

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}\Z")
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")


def wire_name(name: str) -> str:
    """The name of a tool as every API accepts it: letters, digits, `_` and `-`, at most 64 of them."""
    if _NAME.match(name):
        return name
    mark = hashlib.sha256(name.encode(errors="replace")).hexdigest()[:8]
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", name)[:54] or "tool"
    return f"{plain if _NAME.match(plain) else f'_{plain}'}_{mark}"


def wire_tools(tools: Sequence[ToolSpec]) -> dict[str, ToolSpec]:
    """The tools by their names as they are sent. Of two with one name the first counts."""
    found: dict[str, ToolSpec] = {}
    for tool in tools:
        found.setdefault(wire_name(tool.name), tool)
    return found


def plain_id(call_id: str, *, length: int = 0) -> str:
    """The id of a call for an API that takes only letters, digits, `_` and `-`; with `length`: only so many letters
    and digits.
    """
    if not length:
        return call_id if _ID.match(call_id) else "call_" + hashlib.sha256(call_id.encode()).hexdigest()[:24]
    if len(call_id) == length and call_id.isalnum() and call_id.isascii():
        return call_id
    return hashlib.sha256(call_id.encode()).hexdigest()[:length]


def settle_turns(turns: Sequence[ChatTurn], *, offered: bool) -> list[ChatTurn]:
    """`turns` with one result after each call. Results whose call is missing become the user's words.

    Not `offered`: no tools are, so that calls and results all become the user's words.
    """
    if not any(turn.calls or turn.role == "tool" for turn in turns):
        return list(turns)
    settled = _Settled()
    rest = list(reversed(turns))
    while rest:
        turn = rest.pop()
        if turn.role == "tool":
            settled.add_words(describe_result(turn, None))
            continue
        results: list[ChatTurn] = []
        while turn.calls and rest and rest[-1].role == "tool":
            results.append(rest.pop())
        if turn.calls:
            settled.add_exchange(turn, results, offered=offered)
        else:
            settled.add(turn)
    return settled.turns


class _Settled:
    def __init__(self) -> None:
        self.turns: list[ChatTurn] = []
        self._spoken = False  # the last turn is the user's and has words that were made from results

    def add(self, turn: ChatTurn) -> None:
        if turn.role == "user" and self._spoken:
            self.add_words(turn.content, turn.images)
            return
        self.turns.append(turn)
        self._spoken = False

    def add_words(self, words: str, images: Sequence[ToolImage] = ()) -> None:
        """Adds words of the user to their last turn, or as a new one."""
        if self.turns and self.turns[-1].role == "user":
            before = self.turns.pop()
            words, images = f"{before.content}\n\n{words}", (*before.images, *images)
        self.turns.append(ChatTurn("user", words, images=images))
        self._spoken = True

    def add_exchange(self, turn: ChatTurn, results: list[ChatTurn], *, offered: bool) -> None:
        """A turn with calls, and the results that followed it."""
        by_id = {result.call_id: result for result in reversed(results)}
        pairs = [(call, by_id.pop(call.id, _missing(call))) for call in turn.calls]
        if offered:
            for one in (turn, *(result for _, result in pairs)):
                self.add(one)
        else:
            if turn.content.strip():
                self.add(ChatTurn(turn.role, turn.content))
            for call, result in pairs:
                self.add_words(describe_result(result, call))
        for result in by_id.values():
            self.add_words(describe_result(result, None))


def _missing(call: RequestedCall) -> ChatTurn:
    return ChatTurn("tool", NO_RESULT, call_id=call.id, name=call.name, failed=True)


def describe_result(result: ChatTurn, call: RequestedCall | None) -> str:
    """A result in words, for a model that is offered no tools."""
    asked = f" with {call.arguments}" if call is not None and call.arguments.strip() not in ("", "{}") else ""
    ended = "failed" if result.failed else "returned"
    return f"[The tool {result.name or 'that was asked'} was called{asked} and {ended}:]\n{result.content or NO_OUTPUT}"


def add_hint(turns: Sequence[ChatTurn], hint: str) -> list[ChatTurn]:
    """`turns` with a sentence at the end of the first system prompt, which is made where there is none."""
    found = list(turns)
    place = next((place for place, turn in enumerate(found) if turn.role == "system"), None)
    if place is None:
        return [ChatTurn("system", hint), *found]
    found[place] = ChatTurn("system", f"{found[place].content}\n\n{hint}".strip())
    return found


def arguments_object(text: str) -> dict[str, Any]:
    """The arguments of a call as an object. Those that are none are in it as text, under `INVALID`."""
    if not text.strip():
        return {}
    try:
        value = msgspec.json.decode(text)
        if isinstance(value, dict):
            msgspec.json.encode(value)  # not every number can be written
            return value
    except (msgspec.DecodeError, UnicodeError, OverflowError, RecursionError):
        pass
    return {INVALID: text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")}


def arguments_text(text: str) -> str:
    """The arguments of a call as the JSON of an object: servers read it, and fail on anything else."""
    if isinstance(load_json(text), dict):
        return text
    return json.dumps(arguments_object(text))


def result_text(turn: ChatTurn, *, carries: bool = False, marks: bool = False) -> str:
    """The text of a result. `carries`: its images are sent beside it; `marks`: so is whether the call failed."""
    text = turn.content
    if turn.failed and not marks and not text.lower().startswith("error"):
        text = f"Error: {text}" if text else "Error"
    left = [image for image in turn.images if not carries or not is_sendable(image)]
    if left:
        text = f"{text}\n\n{NO_IMAGE}".strip()
    return text or ("" if carries and turn.images else NO_OUTPUT)


def is_sendable(image: ToolImage) -> bool:
    return image.media_type in IMAGE_TYPES and 0 < len(image.content) <= MAX_IMAGE


def sendable_images(turn: ChatTurn) -> list[tuple[str, str]]:
    """The images of a result that can be sent: each as its media type and base64."""
    return [(image.media_type, base64.b64encode(image.content).decode()) for image in turn.images if is_sendable(image)]


def user_content(turn: ChatTurn, *, refused: bool) -> tuple[str, list[tuple[str, str]]]:
    """The text of what a user wrote and their images, as `sendable_images` has them. Of images that are not sent
    (`refused`: the model takes none) the text says so.
    """
    if not turn.images:
        return turn.content, []
    images = [] if refused else sendable_images(turn)
    left = len(turn.images) - len(images)
    text = f"{turn.content}\n\n{NOT_SHOWN.format(left)}" if left else turn.content
    return text, images


def replayed(turn: ChatTurn) -> list[Mapping[str, Any]]:
    """The parts of an answer that its model wants back; those of another kind are left out."""
    parts = turn.replay.parts if turn.replay is not None else []
    return [part for part in parts if isinstance(part, Mapping)]
