"""What a refusal teaches about a model, in the words that real servers use."""

from __future__ import annotations

import pytest

from workers.providers.base import ChatTurn
from workers.providers.http.learned import Learned, Lesson, find_lesson
from workers.providers.http.verdict import fold_system

ALL = {"stream_options": {}, "max_tokens": 5000, "temperature": 0.3, "reasoning_effort": "low"}


@pytest.mark.parametrize(
    ("said", "lesson"),
    [
        (
            '{"detail":[{"loc":["body","n"],"msg":"' + "x" * 3000 + '"},{"loc":["body","stream_options"]}]}',
            Lesson("stream_options"),
        ),
        (
            "Unsupported parameter: 'max_tokens' is not supported here. Use 'max_completion_tokens' instead.",
            Lesson("max_tokens"),
        ),
        (
            "max_tokens is too large: 5000. This model supports at most 4096 completion tokens.",
            Lesson("answer_length", 4096),
        ),
        (
            "max_tokens: 5000 > 4096, which is the maximum allowed number of output tokens",
            Lesson("answer_length", 4096),
        ),
        ("`max_tokens` must be less than or equal to `4096`, the maximum value", Lesson("answer_length", 4096)),
        (
            '{"type":"less_than_equal","loc":["body","max_tokens"],"msg":"Input should be less than or equal to 4096"}',
            Lesson("answer_length", 4096),
        ),
        ("max_tokens is too large", Lesson("answer_length")),
        ("Invalid max_tokens value, the valid range of max_tokens is [1, 4096]", Lesson("answer_length", 4096)),
        ("max_tokens must be <= 4096", Lesson("answer_length", 4096)),
        ("max_tokens cannot exceed 4096", Lesson("answer_length", 4096)),
        ("The maximum value for max_tokens is 4096", Lesson("answer_length", 4096)),
        ("max_tokens should be less than 4097", Lesson("answer_length", 4096)),
        ("max_new_tokens must be <= 4096. Given: 5000", Lesson("answer_length", 4096)),
        ("The maximum tokens you requested exceeds the model limit of 4096.", Lesson("answer_length", 4096)),
        (
            "it has a max_tokens value of 5000 but the supported range is from 1 (inclusive) to 4097 (exclusive)",
            Lesson("answer_length", 4096),
        ),
        (
            "'max_tokens' is too large: 5000. Its context is 4096, you sent 100 (5000 > 4096 - 100).",
            Lesson("answer_length", 3996, once=True),
        ),
        (
            "This model's maximum context length is 4096 tokens. You asked for 5100 (100 in the messages, …).",
            Lesson("answer_length", 3996, once=True),
        ),
        (
            "This model's maximum context length is 4096 tokens. You asked for 10000 (5000 in the messages, …).",
            None,
        ),
        ("Unsupported value: 'temperature' does not support 0.3 with this model.", Lesson("temperature")),
        ("Unrecognized request argument supplied: reasoning_effort", Lesson("reasoning_effort")),
        (
            "Unsupported value: 'reasoning_effort' does not support 'low' with this model.",
            Lesson("reasoning_effort:low"),  # it may accept others
        ),
        (
            '{"loc":["body","reasoning_effort"],"msg":"Input should be \'medium\'","type":"literal_error"}',
            Lesson("reasoning_effort:low"),
        ),
        ('{"loc":["body","reasoning_effort"],"msg":"Extra inputs are not permitted"}', Lesson("reasoning_effort")),
        ("Unsupported parameter: 'temperature' is not supported with this model.", Lesson("temperature")),
        ("`temperature` is deprecated for this model.", Lesson("temperature")),
        (
            (
                "gpt-5 doesn't support temperature=0.3 while reasoning is active. Only temperature=1 is supported"
                " unless reasoning_effort resolves to 'none'. model group 'm' failed with the error above."
            ),
            Lesson("temperature"),
        ),
        ("temperature is too high: the error above", Lesson("temperature")),
        ("temperature must not be above 0.2", Lesson("temperature", once=True)),
        ("temperature: range: 0..0.2", Lesson("temperature", once=True)),
        ('{"loc":["body","temperature"],"msg":"ensure this value is at most 0.2"}', Lesson("temperature", once=True)),
        ('"llama3.2:3b" does not support thinking', Lesson("reasoning_effort")),
        ("Reasoning is not supported by this model", Lesson("reasoning_effort")),
        ('think value "low" is not supported for this model', Lesson("reasoning_effort:low")),
        ("System role not supported", Lesson("system")),
        ("Developer instruction is not enabled for models/gemma-3-27b-it", Lesson("system")),
        ("Conversation roles must alternate user/assistant/user/assistant/...", Lesson("system")),
        ("messages.0.role: 'system' is not one of ['user', 'assistant']", Lesson("system")),
        ("Only user, assistant and tool roles are supported, got system.", Lesson("system")),
        ('messages: first message must use the "user" role', Lesson("system")),
        ("no", None),
    ],
)
def test_lessons(said: str, lesson: Lesson | None) -> None:
    assert find_lesson(said, ALL, has_system=True) == lesson


def test_only_what_was_sent_is_blamed() -> None:
    for said in ("stream_options", "max_tokens", "temperature", "system role", "reasoning_effort"):
        assert find_lesson(said, {}, has_system=False) is None


def test_each_model_has_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    learned = Learned()
    learned.add("a", Lesson("stream_options"))
    learned.add("a", Lesson("answer_length", 100))
    learned.add("a", Lesson("answer_length", 50, once=True))
    assert learned.refuses("a", "stream_options")
    assert not learned.refuses("b", "stream_options")
    assert (learned.limit("a"), learned.limit("b")) == (100, None)


def test_no_effort_at_all_is_a_value_of_its_own() -> None:
    sent = {"reasoning_effort": "none"}
    assert find_lesson("reasoning_effort is wrong", sent, has_system=False) == Lesson("reasoning_effort:none")
    mandatory = "Reasoning is mandatory for this endpoint and cannot be disabled."
    assert find_lesson(mandatory, sent, has_system=False) == Lesson("reasoning_effort:none")
    refused = find_lesson("Unrecognized request argument supplied: reasoning_effort", sent, has_system=False)
    assert refused == Lesson("reasoning_effort")


def test_what_is_about_one_request_is_not_remembered() -> None:
    learned = Learned()
    learned.add("a", Lesson("temperature", once=True))
    assert not learned.refuses("a", "temperature")


def test_the_system_prompt_goes_into_the_first_question() -> None:
    turns = [ChatTurn("system", "Be brief."), ChatTurn("user", "a"), ChatTurn("assistant", "b"), ChatTurn("user", "c")]
    assert fold_system(turns) == [ChatTurn("user", "Be brief.\n\na"), *turns[2:]]
    assert fold_system(turns[1:]) == turns[1:]
