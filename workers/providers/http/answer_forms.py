"""The form of an answer (JSON, or JSON that follows a schema) in requests, and what refusals of it teach. Pure: no I/O.

Sources: OpenAI API reference, `response_format` of "Create chat completion" and `text.format` of "Create a model
response"; Anthropic API reference, `output_config.format` of "Create a Message"; Gemini API reference,
"GenerationConfig" (`responseJsonSchema`, `responseSchema`).
"""

from __future__ import annotations

import re
from typing import Any, Final

from accounts.lib.texts import gettext_noop
from workers.providers.base import ProviderError
from workers.providers.form import AnswerForm
from workers.providers.http.dialect import Wanted
from workers.providers.http.learned import Lesson
from workers.providers.http.tool_schemas import gemini_schema

FORM: Final = "response_format"  # what models refuse: JSON that follows a schema
ANY_JSON: Final = "response_format:json_object"  # and JSON of any form
LOGPROBS: Final = "logprobs"
SCHEMA_FIELD: Final = "responseJsonSchema"
NO_FORM_MESSAGE: Final = gettext_noop("This model does not support this form of answer, or not with this schema.")
NO_LOGPROBS_MESSAGE: Final = gettext_noop("This model does not return token probabilities.")

_FORM: Final = re.compile(
    r"response_?\W?format|text\W{1,3}format|output_config\W{1,3}format|output_format|output_config: extra"
    r"|structured[ _]outputs?|response_?\W?mime_?\W?type|response_?(?:json_?)?schema"
)
_PERHAPS: Final = re.compile(
    r"json[_ ](?:object|schema|mode|output)|guided_|guided decoding|grammar|\bformat\b|\bschema\b"
)
_UNKNOWN: Final = re.compile(r"unknown name|cannot find field|unrecognized|not supported|unsupported")
# Of this schema or this request, not of forms: its words, its size, or that the request does not speak of JSON.
_THIS_FORM: Final = re.compile(
    r"invalid (?:json )?schema|schema .{0,80}(?:invalid|too|exceed|must|required|not permitted|not allowed|keyword)"
    r"|must contain the word|too (?:many|complex|large|deep)|additionalproperties|\$ref"
)
_LOGPROBS: Final = re.compile(r"logprobs?|log[ _]prob")
_TOO_MANY: Final = re.compile(r"at most|between|less than|<=|greater|maximum|range|exceed")


def response_format(form: AnswerForm) -> dict[str, Any]:
    """`response_format` of Chat Completions."""
    if form.schema is None:
        return {"type": "json_object"}
    return {"type": "json_schema", "json_schema": _named(form)}


def text_format(form: AnswerForm) -> dict[str, Any]:
    """`text.format` of the Responses API."""
    return {"type": "json_object"} if form.schema is None else {"type": "json_schema", **_named(form)}


def output_format(form: AnswerForm) -> dict[str, Any]:
    """`output_config.format` of the Messages API, which always follows the schema exactly."""
    return {"type": "json_schema", "schema": form.schema}


def response_fields(wanted: Wanted) -> dict[str, Any]:
    """The fields of Gemini's `generationConfig`."""
    found: dict[str, Any] = {"responseMimeType": "application/json"}
    schema = wanted.form.schema if wanted.form is not None else None
    if schema is None:
        return found
    if wanted.refused(SCHEMA_FIELD):
        return {**found, "responseSchema": gemini_schema(schema, keep=False)}
    return {**found, SCHEMA_FIELD: schema}


def _named(form: AnswerForm) -> dict[str, Any]:
    found: dict[str, Any] = {"name": form.name, "schema": form.schema}
    if form.description:
        found["description"] = form.description
    return {**found, "strict": True} if form.strict else found


def name_form(form: AnswerForm) -> str:
    """The name under which it is remembered that a model refuses the form."""
    return ANY_JSON if form.schema is None else FORM


def find_form_lesson(words: str, wanted: Wanted, *, named: bool) -> Lesson | None:
    """What a refusal (in lower case) teaches about the form of the answer, or the logprobs, that was asked for.
    `named`: only if it names one of the fields for it.
    """
    if wanted.form is not None and not wanted.refused(SCHEMA_FIELD) and "responsejsonschema" in words.replace("_", ""):
        return Lesson(SCHEMA_FIELD, once=not _UNKNOWN.search(words))
    if wanted.logprobs is not None and _LOGPROBS.search(words):
        return Lesson(LOGPROBS, once=bool(_TOO_MANY.search(words)))
    if wanted.form is not None and (_FORM.search(words) or (not named and _PERHAPS.search(words))):
        return Lesson(name_form(wanted.form), once=bool(_THIS_FORM.search(words)))
    return None


def no_form(what: str, failure: ProviderError | None = None) -> ProviderError:
    """The error of a model that cannot be asked for a form of the answer, or for logprobs, with what its server said.
    None: that is known from before.
    """
    code, message = (
        ("upstream_no_logprobs", NO_LOGPROBS_MESSAGE) if what == LOGPROBS else ("upstream_no_format", NO_FORM_MESSAGE)
    )
    if failure is None:
        return ProviderError(code, message)
    return ProviderError(
        code, message, detail=failure.detail, reason=failure.reason, said=failure.said, request_id=failure.request_id
    )  # fmt: skip
