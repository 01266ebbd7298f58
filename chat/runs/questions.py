"""The questions that tools ask people: flat forms, made from a JSON schema, and their answers.

The schema comes from a tool, perhaps of somebody else's server. Only what a form can show is kept of it: no references,
no patterns, no nesting.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from chat.protocol.commands import clean_controls

if TYPE_CHECKING:
    from jsonschema import ValidationError

MOST_FIELDS: Final = 20
MOST_CHOICES: Final = 100
LONGEST_SENTENCE: Final = 2_000
LONGEST_NAME: Final = 100
LONGEST_WORDS: Final = 500  # of a title, a description or a choice
LONGEST_ANSWER: Final = 10_000  # characters of one field
_OF_TYPE: Final[dict[str, tuple[str, ...]]] = {
    "string": ("minLength", "maxLength", "format", "default"),
    "number": ("minimum", "maximum", "default"),
    "integer": ("minimum", "maximum", "default"),
    "boolean": ("default",),
    "array": ("minItems", "maxItems", "default"),
}
_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "string": (str,), "number": (int, float), "integer": (int,), "boolean": (bool,), "array": (list,),
}  # fmt: skip
_KINDS: Final = {
    "string": "a text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "yes or no",
    "array": "a list",
}
FORMATS: Final = ("email", "uri", "date", "date-time")


def usable_question(sentence: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """The question as it is stored and shown: its sentence, and of the schema what a form can show.

    Raises `ValueError` with a sentence where the schema is no flat object of strings, numbers, yes or no, and lists of
    choices. Choices that have titles of their own (`oneOf`, `anyOf`) become `enum` and `enumNames`.
    """
    properties = schema.get("properties")
    if schema.get("type", "object") != "object" or not isinstance(properties, Mapping):
        raise ValueError("The question's schema is not an object with properties.")
    if not 0 < len(properties) <= MOST_FIELDS:
        raise ValueError(f"The question has no field, or more than {MOST_FIELDS}.")
    fields = {_name(name): _field(name, field) for name, field in properties.items()}
    required = schema.get("required", [])
    if not isinstance(required, list) or any(not isinstance(name, str) or name not in fields for name in required):
        raise ValueError("The question requires a field that it does not have.")
    # PostgreSQL sorts the names of an object.
    kept = {"type": "object", "properties": fields, "required": list(dict.fromkeys(required)), "order": list(fields)}
    return {"sentence": clean_controls(str(sentence))[:LONGEST_SENTENCE], "schema": kept}


def check_answer(schema: Mapping[str, Any], answer: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to a question with a schema of `usable_question`, without fields that were not asked for.

    Raises `ValueError` with a sentence that names the field.
    """
    # Every worker loads this module, and few answers have a tool's question: 50 ms of each start.
    from jsonschema import Draft202012Validator

    fields = schema["properties"]
    given = {
        name: clean_controls(value) if isinstance(value, str) else value
        for name, value in answer.items()
        if name in fields
    }
    if missing := [name for name in schema["required"] if name not in given]:
        raise ValueError(f"{label_of(missing[0], fields[missing[0]])}: an answer is needed.")
    for name, value in given.items():
        if isinstance(value, str) and len(value) > LONGEST_ANSWER:
            raise ValueError(f"{label_of(name, fields[name])}: at most {LONGEST_ANSWER} characters.")
    errors = sorted(Draft202012Validator(schema).iter_errors(given), key=lambda one: one.validator != "type")
    if errors:
        raise ValueError(_sentence(errors[0], fields))
    return given


def label_of(name: str, field: Mapping[str, Any]) -> str:
    """What a field is called on the page."""
    return str(field.get("title") or name)


def _name(name: Any) -> str:
    if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME or not _is_clean(name):
        raise ValueError("A field of the question has no usable name.")
    return name


def _field(name: str, field: Any) -> dict[str, Any]:
    kind = field.get("type") if isinstance(field, Mapping) else None
    if not isinstance(kind, str) or kind not in _OF_TYPE:
        raise ValueError(
            f"The question's field {name[:LONGEST_NAME]} is not a string, a number, yes or no, or a list of choices."
        )
    kept: dict[str, Any] = {"type": kind}
    if kind == "array":
        kept |= {"items": {"type": "string", **_choices(name, field.get("items"))}, "uniqueItems": True}
    for words in ("title", "description"):
        if isinstance(field.get(words), str):
            kept[words] = clean_controls(field[words])[:LONGEST_WORDS]
    for keyword in _OF_TYPE[kind]:
        if keyword in field and _fits(keyword, field[keyword], kind):
            kept[keyword] = field[keyword]
    if kind == "string" and not {"enum", "oneOf", "anyOf"}.isdisjoint(field):
        kept |= _choices(name, field)
    return kept


def _choices(name: str, field: Any) -> dict[str, Any]:
    """`enum`, and `enumNames` where the choices have titles. Raises `ValueError` for those that are not usable."""
    found: dict[str, Any] = {}
    if isinstance(field, Mapping):
        titled = field.get("oneOf", field.get("anyOf"))
        if isinstance(titled, list) and all(isinstance(one, Mapping) for one in titled):
            values = [one.get("const") for one in titled]
            found = {"enum": values, "enumNames": [one.get("title", one.get("const")) for one in titled]}
        else:
            found = {keyword: field[keyword] for keyword in ("enum", "enumNames") if keyword in field}
    if not _fits("enum", found.get("enum"), "string"):
        raise ValueError(f"The choices of the question's field {name[:LONGEST_NAME]} are not usable.")
    names = found.get("enumNames")
    if not _fits("enumNames", names, "string") or len(names or ()) != len(found["enum"]):
        found.pop("enumNames", None)
    return found


def _fits(keyword: str, value: Any, kind: str) -> bool:
    """Whether the value of a keyword is what the keyword is made for."""
    if keyword in ("enum", "enumNames"):
        words = isinstance(value, list) and all(isinstance(one, str) and _is_clean(one) for one in value)
        return words and 0 < len(value) <= MOST_CHOICES and all(len(one) <= LONGEST_WORDS for one in value)
    if keyword == "format":
        return isinstance(value, str) and value in FORMATS
    if keyword in ("minLength", "maxLength", "minItems", "maxItems"):
        return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LONGEST_ANSWER
    if kind == "array":  # its default
        return value == [] or _fits("enum", value, "string")
    if not isinstance(value, _TYPES[kind if keyword == "default" else "number"]):
        return False
    if isinstance(value, str):
        return len(value) <= LONGEST_ANSWER and _is_clean(value)
    if isinstance(value, bool):
        return kind == "boolean"
    return not isinstance(value, float) or math.isfinite(value)


def _is_clean(text: str) -> bool:
    """Whether a text is stored as it is: without control characters and halves of characters."""
    return clean_controls(text) == text


def _sentence(error: ValidationError, fields: Mapping[str, Any]) -> str:
    """What is wrong with an answer, in the words of the form."""
    name = str(error.path[0]) if error.path else ""
    label = label_of(name, fields.get(name, {}))
    limit = error.validator_value
    words = {
        "type": f"this is not {_KINDS.get(str(limit), 'what was asked for')}.",
        "enum": "this is none of the choices.",
        "minLength": f"at least {limit} characters.",
        "maxLength": f"at most {limit} characters.",
        "minimum": f"at least {limit}.",
        "maximum": f"at most {limit}.",
        "minItems": f"choose at least {limit}.",
        "maxItems": f"choose at most {limit}.",
    }
    return f"{label}: {words.get(str(error.validator), 'this does not fit.')}"
