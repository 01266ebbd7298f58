"""`top_p` in each dialect's request, and what its refusal teaches."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.workers.providers.dialect_calls import wanted
from workers.providers.anthropic.dialect import AnthropicDialect
from workers.providers.gemini.dialect import GeminiDialect
from workers.providers.http.learned import Lesson, find_lesson
from workers.providers.ollama.dialect import OllamaDialect
from workers.providers.openai.dialect import OpenAIDialect
from workers.providers.responses.dialect import ResponsesDialect

pytestmark = pytest.mark.unit
DIALECTS = [AnthropicDialect, GeminiDialect, OllamaDialect, OpenAIDialect, ResponsesDialect]


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda one: one.__name__)
def test_is_sent_where_it_is_wanted(dialect: Any) -> None:
    made = dialect()
    fields = made.fields(made.body(wanted(top_p=0.5)))
    assert fields.get("top_p", fields.get("topP")) == 0.5
    assert not {"top_p", "topP"} & set(made.fields(made.body(wanted())))


def test_not_with_thinking_of_anthropic() -> None:
    assert "top_p" not in AnthropicDialect().body(wanted(effort="high", top_p=0.5))


@pytest.mark.parametrize(
    ("said", "sent", "lesson"),
    [
        ("Unsupported parameter: 'top_p' is not supported with this model.", {"top_p": 0.5}, Lesson("top_p")),
        ("`temperature` and `top_p` cannot both be specified for this model.", {"top_p": 0.5, "temperature": 1},
         Lesson("top_p")),
        ("Invalid value at generation_config.topP", {"topP": 0.5}, Lesson("top_p")),
        ("top_p must be in (0, 1]", {"top_p": 0.5}, Lesson("top_p", once=True)),
        ("temperature is not supported", {"top_p": 0.5, "temperature": 1}, Lesson("temperature")),
        ("top_p is not supported", {"temperature": 1}, None),
    ],
)  # fmt: skip
def test_a_refusal_teaches(said: str, sent: dict[str, Any], lesson: Lesson | None) -> None:
    assert find_lesson(said, sent, has_system=False) == lesson
