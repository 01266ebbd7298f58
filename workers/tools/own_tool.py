"""Makes a tool of our own from a frozen dataclass: its fields are the parameters, and `run` makes the call.

The tool's name is that of the class, its description the docstring, and its JSON schema comes from the types of the
fields and their `msgspec.Meta`. CONTRIBUTING.md has an example.
"""

from __future__ import annotations

import asyncio
import dataclasses
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from inspect import cleandoc
from typing import Any, ClassVar, Final, Protocol

import msgspec
import structlog

from accounts.lib.outage import OUTAGE
from workers.tools.base import MAX_OUTPUT_CHARS, Approval, Effect, ToolContext, ToolError, ToolResult

TOO_SLOW: Final = "The tool took too long and was stopped."
AWAY: Final = "The tool cannot be used right now. Try again later, or answer without it."
WORDS: Final = {"str": "text", "int": "whole number", "float": "number", "bool": "true or false"}
MAX_NAME_CHARS: Final = 60  # of a parameter that a tool does not have, in the sentence for the model
CUT: Final = "\n[The rest was left out: the result is too long.]"


logger = structlog.get_logger(__name__)


class Call(Protocol):
    """One call of a tool of our own: a frozen dataclass of its arguments."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    async def run(self, context: ToolContext) -> ToolResult:
        """Makes the call. Raises `ToolError` and `QuestionAskedError`."""


@dataclass(frozen=True, slots=True)
class OwnTool:
    """A tool of our own (`workers.tools.base.Tool`), made by `own_tool`."""

    call: type[Call]
    name: str
    title: str
    description: str
    parameters: Mapping[str, Any]
    effect: Effect
    approval: Approval
    outside: bool
    server: str = ""

    async def run(self, arguments: Mapping[str, Any], context: ToolContext) -> ToolResult:
        """Checks the arguments and makes the call within its deadline. Raises `ToolError`, `QuestionAskedError`."""
        call = convert(self.call, arguments, self.name)
        try:
            async with asyncio.timeout(max(0.0, context.deadline - time.monotonic())):
                result = await call.run(context)
        except TimeoutError:
            raise ToolError(TOO_SLOW) from None
        except OUTAGE as error:
            raise ToolError(AWAY, detail=type(error).__name__) from error
        if len(result.text) > MAX_OUTPUT_CHARS:
            result = replace(result, text=result.text[: MAX_OUTPUT_CHARS - len(CUT)] + CUT)
        return replace(result, text=result.text.replace("\x00", ""))


def own_tool(
    call: type[Call],
    *,
    title: str,
    effect: Effect = "reads",
    approval: Approval | None = None,
    outside: bool = False,
) -> OwnTool:
    """The tool of a frozen dataclass with a docstring. `outside`: its results come from outside (web, files). Without
    another `approval`, one that writes asks first.
    """
    approval = approval or ("ask" if effect == "writes" else "never")
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", call.__name__).lower()
    return OwnTool(call, name, title, cleandoc(call.__doc__ or ""), schema_of(call), effect, approval, outside)


def schema_of(call: type[Call]) -> dict[str, Any]:
    """The JSON schema of the parameters, without references, which some models' APIs do not take."""
    schema = msgspec.json.schema(call)
    definitions: dict[str, Any] = schema.pop("$defs", {})
    found: dict[str, Any] = _inline(schema, definitions)
    for name in ("title", "description"):
        found.pop(name, None)
    return {**found, "additionalProperties": False}


def _inline(part: Any, definitions: Mapping[str, Any]) -> Any:
    if isinstance(part, list):
        return [_inline(one, definitions) for one in part]
    if not isinstance(part, dict):
        return part
    if reference := part.get("$ref"):
        part = definitions[reference.rpartition("/")[2]]
    found = {name: _inline(value, definitions) for name, value in part.items()}
    if "enum" in found and "type" not in found and all(isinstance(one, str) for one in found["enum"]):
        found["type"] = "string"  # Gemini wants it said
    return found


def convert(call: type[Call], arguments: Mapping[str, Any], name: str) -> Call:
    """The call with these arguments. Numbers and truth values may come as text, null is: not given, and a parameter
    that the tool does not have is left out: the log says how many, and the call's record what the model sent.

    Raises `ToolError` with a sentence that tells the model what to change.
    """
    fields = {field.name: field for field in dataclasses.fields(call)}
    if unknown := [_storable(given)[:MAX_NAME_CHARS] for given in arguments if given not in fields]:
        logger.info("tool_arguments_ignored", tool=name, parameters=len(unknown))  # not their names, which a model made
    given = {
        one: value
        for one, value in arguments.items()
        if one in fields and (value is not None or _is_required(fields[one]))
    }
    try:
        return msgspec.convert(_storable(given), type=call, strict=False)
    except msgspec.ValidationError as error:
        raise ToolError(f"Wrong arguments for {name}: {_sentence(str(error), schema_of(call), unknown)}") from None
    except RecursionError:
        raise ToolError(f"Wrong arguments for {name}: they are nested too deeply.") from None


def _storable(value: Any) -> Any:
    """The same arguments without what no row or request can hold: null characters and halves of characters."""
    if isinstance(value, str):
        return value.replace("\x00", "").encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return [_storable(one) for one in value]
    if isinstance(value, dict):
        return {_storable(name): _storable(one) for name, one in value.items()}
    return value


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _sentence(said: str, schema: Mapping[str, Any], unknown: Sequence[str] = ()) -> str:
    """What msgspec says about arguments, with the parameter's name first, and in words that no Python is needed for.
    Where one is missing, a name that the tool does not know (`unknown`) may be meant for it.
    """
    what, _, where = said.partition(" - at ")
    place = where.strip("`").removeprefix("$").lstrip(".")
    what = what.replace("Object missing required field", "missing parameter")
    what = re.sub("`(str|int|float|bool)( [^`]*)?`", lambda found: WORDS[found[1]] + (found[2] or ""), what)
    what = what.replace("`", "")
    what = what[:1].lower() + what[1:]
    if allowed := schema["properties"].get(place, {}).get("enum"):
        what += f"; allowed are {', '.join(map(str, allowed))}"
    if unknown and what.startswith("missing"):
        what += f"; it has no {unknown[0]!r}, only {', '.join(schema['properties'])}"
    return (f"{place}: {what}." if place else f"{what}.")[:500]
