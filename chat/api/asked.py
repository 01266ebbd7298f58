"""What a program asks for, whichever of the two request formats it used; and what both formats share. Pure."""

from __future__ import annotations

import base64
import binascii
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from chat.api.errors import invalid, unsupported
from chat.protocol.commands import TurnOptions, clean_controls
from chat.protocol.errors import Invalid
from chat.protocol.functions import CALL, MESSAGE_ROLES, OFFERED_ROLES, Notes
from chat.protocol.parameters import check_max_tokens, check_temperature

MOST_STOPS: Final = 4
MOST_STOP_CHARS: Final = 200
ROLES: Final = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
EFFORTS: Final = {"none": "none", "minimal": "none", "low": "low", "medium": "medium", "high": "high", "xhigh": "high"}
IMAGE_PARTS: Final = frozenset({"image_url", "input_image"})
BASE64_MARK: Final = b";base64,"  # of the address of an image that has its content
_DATA_URL: Final = re.compile(rf"data:image/[a-z0-9.+-]{{1,40}}{BASE64_MARK.decode()}", re.IGNORECASE)
TEXT_PARTS: Final = frozenset({"text", "input_text", "output_text"})
# Parameters that change the answer and that no model is asked with here, with the values that change nothing.
_NEUTRAL: Final[dict[str, tuple[Any, ...]]] = {
    "n": (1,), "frequency_penalty": (0,), "presence_penalty": (0,), "logit_bias": ({},),
    "functions": ([],), "function_call": ("auto", "none"),
    "modalities": (["text"],), "audio": (), "prediction": (), "web_search_options": (),
    "background": (False,), "conversation": (), "prompt": (), "image": (),
}  # fmt: skip

Turn = tuple[str, str]
Image = bytes | uuid.UUID  # its content, or the id of a file that an earlier request has sent


@dataclass(frozen=True, slots=True)
class Asked:
    """A request: its turns as (role, text), of which the first `head` are instructions for this answer alone.

    Calls, results and functions are turns, too (`chat.protocol.functions`). `images`: those of each turn, by number.
    """

    model: str
    turns: list[Turn]
    options: TurnOptions
    head: int = 0
    stream: bool = False
    include_usage: bool = False
    store: bool = False
    stop: tuple[str, ...] = ()
    top_p: float | None = None
    images: Mapping[int, Sequence[Image]] = field(default_factory=dict)
    notes: Notes = field(default_factory=dict)  # of calls, results and functions, by the number of the turn
    choice: str = ""  # which calls are to be made, as `ApiSend` has it
    one_call: bool = False
    logprobs: int | None = None  # so many alternatives of each token
    form_name: str = "response_format"  # of the parameter for the form of the answer
    previous: str = ""  # the id of the response that this one follows
    echoed: Mapping[str, Any] = field(default_factory=dict)  # what a response repeats of its request


def check_neutral(body: Mapping[str, Any]) -> None:
    """Refuses parameters that would be ignored. Raises `ApiError`."""
    for name, values in _NEUTRAL.items():
        value = body.get(name)
        if value is not None and value not in values:
            said = {
                "functions": "'functions' is OpenAI's old name. Send them as 'tools'.",
                "function_call": "'function_call' is OpenAI's old name. Send it as 'tool_choice'.",
                "n": "Only one answer is given: 'n' must be 1.",
            }
            raise unsupported(name, said.get(name, ""))


def read_model(body: Mapping[str, Any]) -> str:
    """Raises `ApiError`."""
    model = body.get("model")
    if not isinstance(model, str) or not 1 <= len(model) <= 200:
        raise invalid(
            "'model' must name a model.", "model", "missing_required_parameter" if not model else "invalid_value"
        )
    return model


def read_flag(body: Mapping[str, Any], name: str, *, where: str = "") -> bool:
    """Raises `ApiError`."""
    value = body.get(name)
    if value is None or isinstance(value, bool):
        return bool(value)
    raise invalid(f"'{where}{name}' must be true or false.", where + name, "invalid_type")


def read_options(temperature: Any, max_tokens: Any, effort: Any, *, length_name: str, effort_name: str) -> TurnOptions:
    """How the model answers. It is offered no tools. Raises `ApiError`."""
    if effort is not None and not (isinstance(effort, str) and effort in EFFORTS):
        raise invalid(f"'{effort_name}' must be one of {', '.join(EFFORTS)}.", effort_name)
    for name, value in (("temperature", temperature), (length_name, max_tokens)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise invalid(f"'{name}' must be a number.", name, "invalid_type")
    try:
        temperature = None if temperature is None else check_temperature(temperature)
    except Invalid as error:
        raise invalid(error.message, "temperature") from None
    try:
        max_tokens = None if max_tokens is None else check_max_tokens(max_tokens)
    except Invalid as error:
        raise invalid(error.message, length_name) from None
    chosen: Any = EFFORTS.get(effort) if effort is not None else None
    return TurnOptions(temperature=temperature, max_tokens=max_tokens, effort=chosen, tools=[])


def read_top_p(value: Any) -> float | None:
    """None for 1, with which nothing is left out. Raises `ApiError`."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise invalid("'top_p' must be a number.", "top_p", "invalid_type")
    if not 0 < value <= 1:
        raise invalid("'top_p' must be above 0, and at most 1.", "top_p")
    return None if value == 1 else float(value)


def read_stop(value: Any) -> tuple[str, ...]:
    """The texts at which the answer ends. Raises `ApiError`."""
    found = [value] if isinstance(value, str) else value or []
    if not isinstance(found, list) or not all(isinstance(one, str) and len(one) <= MOST_STOP_CHARS for one in found):
        raise invalid("'stop' must be a text or a list of texts.", "stop", "invalid_type")
    if len(found) > MOST_STOPS:
        raise invalid(f"'stop' can have at most {MOST_STOPS} texts.", "stop")
    return tuple(one for one in found if one)


def read_role(value: Any, param: str) -> str:
    """Raises `ApiError`."""
    if value == "function":
        raise unsupported(param, "The role 'function' is OpenAI's old one. Send results with the role 'tool'.")
    if not isinstance(value, str) or value not in ROLES:
        raise invalid(f"'{param}' must be one of {', '.join(ROLES)}.", param)
    return ROLES[value]


def read_content(content: Any, param: str, images: list[Image] | None = None) -> str:
    """The text of a message: a text, or a list of parts, which are joined by line breaks. Its images are added to
    `images`; None: it must have none. Raises `ApiError`.
    """
    if isinstance(content, str):
        return clean_controls(content)
    if not isinstance(content, list):
        raise invalid(f"'{param}' must be a text or a list of parts.", param, "invalid_type")
    texts = []
    for number, part in enumerate(content):
        where = f"{param}[{number}]"
        kind = str(part.get("type")) if isinstance(part, dict) else ""
        if kind == "refusal" and isinstance(part.get("refusal"), str):
            texts.append(part["refusal"])
        elif kind in TEXT_PARTS and isinstance(part.get("text"), str):
            texts.append(part["text"])
        elif kind in IMAGE_PARTS:
            if images is None:
                raise invalid("Only messages of the user can have images.", where, "unsupported_content")
            images.append(_read_image(part, where))
        else:
            raise invalid(
                f"'{where}' is no part of text and no image, and nothing else is supported here.", where,
                "unsupported_content",
            )  # fmt: skip
    return clean_controls("\n".join(texts))


def _read_image(part: Mapping[str, Any], where: str) -> bytes:
    """The content of an image, which must be in the request itself: nothing is fetched for it. Raises `ApiError`."""
    given = part.get("image_url")
    url = given.get("url") if isinstance(given, dict) else given
    found = _DATA_URL.match(url) if isinstance(url, str) else None
    if found is None:
        raise invalid(
            f"'{where}' must have the image itself, as a data: URL in base64. None is fetched from elsewhere.",
            where, "unsupported_content",
        )  # fmt: skip
    assert isinstance(url, str)
    try:
        return base64.b64decode(url[found.end() :], validate=True)
    except (binascii.Error, ValueError):
        raise invalid(f"'{where}' is not valid base64.", where) from None


@dataclass(frozen=True, slots=True)
class Turns:
    """The turns that are sent, with their images and notes by their numbers."""

    turns: list[Turn]
    images: dict[int, Sequence[Image]]
    notes: dict[int, tuple[str, str]]


def check_turns(
    turns: list[Turn],
    param: str,
    most_bytes: int,
    images: Mapping[int, Sequence[Image]] | None = None,
    notes: Notes | None = None,
    *,
    follows: bool = False,
) -> Turns:
    """The turns that are sent, without empty messages. `follows`: others will come before them. Raises `ApiError`."""
    images, notes = images or {}, notes or {}
    numbers = [
        at for at, (role, text) in enumerate(turns) if text.strip() or images.get(at) or role not in MESSAGE_ROLES
    ]
    kept = [turns[number] for number in numbers]
    said = [role for role, _ in kept if role not in OFFERED_ROLES]
    if not said or (not follows and "user" not in said):
        raise invalid(f"'{param}' must have a message of the user.", param, "missing_required_parameter")
    if said[-1] == "assistant":
        raise invalid("The last message must not be the assistant's.", param)
    if said[-1] == CALL:
        raise invalid("Calls of functions must be followed by their results.", param)
    size = sum(len(text.encode()) for _, text in kept)
    size += sum(len(call_id) + len(name.encode()) for call_id, name in notes.values())
    if size > most_bytes:
        raise invalid(
            f"A request can have at most {most_bytes:,} bytes of text; this one has {size:,}.", param, "too_large"
        )
    placed = {at: images[number] for at, number in enumerate(numbers) if images.get(number)}
    return Turns(kept, placed, {at: notes[number] for at, number in enumerate(numbers) if number in notes})
