"""What models have refused, for the admin: in words, and forgotten where staff want it tried again."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from django.db import connection

from chat.catalog.refusals import Refusal
from workers.endpoints.model_facts import read_refused
from workers.models import Endpoint, ModelFact
from workers.providers.model_facts import OPENING_TAG, REMEMBERED
from workers.providers.thinking_tags import UNOPENED

_WORDS: Final = {
    "temperature": "a temperature",
    "max_tokens": "a longest answer as max_tokens; max_completion_tokens is sent instead",
    "max_completion_tokens": "a longest answer as max_completion_tokens",
    "answer_length": "a longest answer of any length that was asked for",
    **dict.fromkeys(("max_output_tokens", "maxOutputTokens", "num_predict"), "a longest answer"),
    **dict.fromkeys(("reasoning_effort", "effort"), "a choice of how long it thinks"),
    **dict.fromkeys(("reasoning", "think", "thinkingConfig"), "fields for thinking"),
    "summary": "a summary of what it thinks",
    "think_level": "a level of thinking; only that it thinks",
    "thinkingLevel": "a level of thinking; a number of tokens is sent instead",
    "thinkingBudget": "a number of tokens for thinking",
    "thinkingOff": "that it does not think",
    "adaptive": "adaptive thinking; a number of tokens is sent instead",
    "budget": "a number of tokens for thinking",
    "system": "the role system; its prompt goes into the first question",
    "stream": "streaming; the whole answer is asked for at once",
    "stream_options": "usage at the end of a stream",
    "store": "that nothing is stored",
    "prefill": "an unfinished answer; it is asked to go on by an instruction",
    "tools": "tools; it is asked without them",
    "tool_choice": "that no tool is called; it is asked not to, by an instruction",
    "tool_stream": "streaming with tools; the whole answer is asked for at once",
    "call_ids": "the ids of calls as others make them; shorter ones are sent, or none",
    "replay": "its own reasoning, beside the results of its calls",
    "images": "images in results of tools; a sentence is sent instead",
    "response_format": "an answer as JSON that follows a schema; programs that ask for it are refused",
    "response_format:json_object": "an answer as JSON of any form; programs that ask for it are refused",
    "responseJsonSchema": "a schema of the answer as JSON Schema has it; a simpler one is sent",
    "logprobs": "the probabilities of tokens; programs that ask for them are refused",
    "include": "that its reasoning is sent back encrypted",
    **{
        OPENING_TAG + tag: f"an opening tag of its thinking; all that it writes before {tag} is read as thinking"
        for tag in UNOPENED
    },
    "thoughtSignature": "calls without a signature; one that stands for none is sent",
}

# In the database, so that nothing that a worker has learnt meanwhile is lost.
_FORGET: Final = (
    "UPDATE workers_modelfact SET refused = refused - %s WHERE model = %s AND endpoint = %s AND refused ? %s"
)


def describe(what: str) -> str:
    """What a model does not accept, for people: `the effort low`, `a temperature`."""
    name, _, value = what.partition(":")
    return _WORDS[what] if what in _WORDS else f"the effort {value}" if value else _WORDS.get(name, name)


def find_refusals(model: str) -> list[Refusal]:
    """What is remembered of a model at all of its endpoints, the newest first."""
    rows = list(ModelFact.objects.filter(model=model).exclude(refused={}))
    places = _places() if rows else {}
    found = [
        Refusal(
            row.endpoint, places.get(row.endpoint, row.endpoint), what, _in_words(what, refused), at, at + REMEMBERED
        )
        for row in rows
        for refused in [read_refused(row)]
        for what, at in refused.items()
    ]
    return sorted(found, key=lambda one: one.at, reverse=True)


def _places() -> dict[str, str]:
    """The names that staff gave, by those in the ledger. Several endpoints at one address share a name there."""
    found: dict[str, list[str]] = {}
    for row in Endpoint.objects.order_by("position", "id"):
        found.setdefault(row.host, []).append(row.name)
    return {host: ", ".join(names) for host, names in found.items()}


def _in_words(what: str, refused: Collection[str]) -> str:
    """In words; of the two names of the longest answer, what is sent instead is only named if that is accepted."""
    words = describe(what)
    return (
        words.partition(";")[0] if {"max_tokens", "max_completion_tokens"} <= {*refused} and "sent" in words else words
    )


def refusing_models() -> list[str]:
    """The names of the models of which anything is remembered."""
    rows = ModelFact.objects.exclude(refused={}).order_by("model")
    return list(dict.fromkeys(row.model for row in rows if read_refused(row)))


def forget_refusal(model: str, endpoint: str, what: str) -> bool:
    """Has something tried again; workers hear of it within seconds. Returns whether it was remembered."""
    with connection.cursor() as cursor:
        cursor.execute(_FORGET, [what, model, endpoint, what])
        return bool(cursor.rowcount)
