"""The bounds of a conversation's parameters, and how what people give is checked. Pure: no Django, no I/O.

None is the default: of the conversation's preset, else of the site or the model.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from django.utils.translation import gettext as _

from accounts.lib.texts import gettext_noop
from chat.protocol.commands import EFFORTS, TurnOptions, clean_controls
from chat.protocol.errors import Invalid, TooLarge
from chat.protocol.limits import MAX_TOOL_NAME, MAX_TOOLS

MAX_PROMPT_CHARS: Final = 20_000  # also of a preset's
MAX_TEMPERATURE: Final = 2.0
MAX_ANSWER_TOKENS: Final = 1_000_000

TEMPERATURE: Final = gettext_noop("The temperature must be a number from 0 to 2.")
MAX_TOKENS: Final = gettext_noop("The longest answer must be a whole number of tokens from 1 to 1,000,000.")
TOOLS: Final = gettext_noop("Send the tools as a list of names.")
EFFORT: Final = gettext_noop("The effort must be one of %(efforts)s.")


def check_options(options: TurnOptions) -> TurnOptions:
    """The options of a turn, in bounds. Raises `Invalid` or `TooLarge` with a sentence."""
    return msgspec.structs.replace(
        options,
        temperature=None if options.temperature is None else check_temperature(options.temperature),
        max_tokens=None if options.max_tokens is None else check_max_tokens(options.max_tokens),
        system_prompt=check_prompt(options.system_prompt or "") or None,
        tools=None if options.tools is None else check_tools(options.tools),
    )


def read_parameter(name: str, text: str) -> Any:
    """A parameter from the text of a form; None or an empty prompt is the default. Raises as `check_options`."""
    text = text.strip()
    match name:
        case "system_prompt":
            return check_prompt(text)
        case "temperature":
            return check_temperature(_number(text, TEMPERATURE)) if text else None
        case "max_tokens":
            return check_max_tokens(_number(text, MAX_TOKENS)) if text else None
    if text and text not in EFFORTS:
        raise Invalid(_(EFFORT) % {"efforts": ", ".join(EFFORTS)})
    return text


def check_tools(names: Sequence[str]) -> list[str]:
    """The names of tools that a turn may call, each once. Raises `Invalid` for what cannot be the name of one."""
    if len(names) > MAX_TOOLS or any(not 0 < len(one) <= MAX_TOOL_NAME or clean_controls(one) != one for one in names):
        raise Invalid(TOOLS)
    return list(dict.fromkeys(names))


def check_prompt(text: str) -> str:
    """A system prompt as it is stored. Raises `TooLarge`."""
    text = clean_controls(text).replace("\r\n", "\n").strip()
    if len(text) > MAX_PROMPT_CHARS:
        raise TooLarge(
            _("The system prompt can have at most %(max_prompt_chars)s characters; this one has %(text)s.")
            % {"max_prompt_chars": f"{MAX_PROMPT_CHARS:,}", "text": f"{len(text):,}"}
        )
    return text


def check_temperature(value: float) -> float:
    """Raises `Invalid`."""
    if not 0 <= value <= MAX_TEMPERATURE:  # also false for what is no number
        raise Invalid(TEMPERATURE)
    return float(value)


def check_max_tokens(value: float) -> int:
    """Raises `Invalid`."""
    if not 1 <= value <= MAX_ANSWER_TOKENS or value != int(value):
        raise Invalid(MAX_TOKENS)
    return int(value)


def _number(text: str, otherwise: str) -> float:
    try:
        value = float(text.replace(",", ".")) if len(text) <= 40 else math.nan
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise Invalid(otherwise)
    return value
