"""An answer ends at its greatest length and at what is left of a hard quota, and is billed with what it really had."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from accounts.lib.db import in_db
from accounts.models import Unit, User
from accounts.quotas.ceilings import reserve_output
from chat.models import RunStatus
from chat.runs.claims import claim
from tests.fixtures.quota_rows import give, price, send, standing
from workers.generation import limits
from workers.generation.answer import ModelAnswer
from workers.generation.outcome import Outcome, RunClock
from workers.generation.run_log import RunLog
from workers.providers.base import ChatTurn, Chunk, OnRequest, Options, TokenUsage
from workers.providers.token_estimate import estimate_tokens

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("one_model")]
MIB = 1024 * 1024


class ScriptedModel:
    """A `ChatModel` that answers with these chunks and counts how many were read."""

    def __init__(self, *batches: list[Chunk]) -> None:
        self.batches = batches
        self.read = 0
        self.options: Options | None = None

    @contextlib.asynccontextmanager
    async def stream(
        self, model: str, turns: Sequence[ChatTurn], *, options: Options, on_request: OnRequest
    ) -> AsyncGenerator[AsyncIterator[list[Chunk]]]:
        self.options = options

        async def play() -> AsyncGenerator[list[Chunk]]:
            on_request("host", model)
            for batch in self.batches:
                self.read += 1
                yield batch

        answer = play()
        try:
            yield answer
        finally:
            await answer.aclose()


async def answer(user: User, model: ScriptedModel, asked: str = "Hello") -> tuple[Outcome, str, TokenUsage]:
    """How the run ends, its text, and what is billed."""
    accepted = await in_db(send, user, None, asked)
    claimed = await in_db(claim, accepted.run_id, "worker")
    assert claimed is not None
    log = RunLog(lambda *_: None, accepted.conversation_id, accepted.run_id, 1)
    reader = ModelAnswer(claimed, log, cast("Any", model), RunClock(claimed.run))
    outcome = await reader.read()
    return outcome, log.text, reader.billed_usage(outcome.usage, log.text)


def words(count: int) -> list[list[Chunk]]:
    return [[Chunk(f"word{number % 10} ")] for number in range(count)]


async def test_ten_megabytes_are_kept_to_the_greatest_length(alice: User, settings: Any) -> None:
    settings.ANSWER_MAX_CHARS = 50_000
    model = ScriptedModel(*[[Chunk("x" * MIB)]] * 10, [Chunk(usage=TokenUsage(3, 5), finish_reason="stop")])
    outcome, text, billed = await answer(alice, model)
    assert (outcome.status, outcome.code) == (RunStatus.STOPPED, "answer_too_long")
    assert outcome.message == "The answer was stopped at its maximum length of 50,000 characters."
    assert text == "x" * 50_000
    assert model.read == 1
    assert billed.output_tokens == estimate_tokens(text)


async def test_an_answer_of_the_greatest_length_is_complete(alice: User, settings: Any) -> None:
    settings.ANSWER_MAX_CHARS = 10
    outcome, text, _ = await answer(alice, ScriptedModel([Chunk("12345")], [Chunk("67890")]))
    assert (outcome.status, text) == (RunStatus.DONE, "1234567890")


async def test_the_greatest_length_is_that_of_all_parts_of_an_answer(alice: User, settings: Any) -> None:
    """Otherwise it could be continued for ever."""
    settings.ANSWER_MAX_CHARS = 10
    accepted = await in_db(send, alice)
    claimed = await in_db(claim, accepted.run_id, "worker")
    assert claimed is not None
    continued = replace(claimed, run=replace(claimed.run, base_chars=7))
    within = limits.AnswerLimits(continued)
    assert (await within.admit("890"), within.reached) == ("890", None)
    assert await within.admit("x") == ""
    assert within.reached is not None
    assert within.reached.code == "answer_too_long"


async def test_endless_reasoning_is_ended(alice: User, settings: Any) -> None:
    settings.ANSWER_MAX_CHARS = 1000
    model = ScriptedModel(*[[Chunk(reasoning="think " * 100)]] * 1000)
    outcome, text, billed = await answer(alice, model)
    assert (outcome.status, outcome.code, text) == (RunStatus.STOPPED, "answer_too_long", "")
    assert model.read == 9
    assert billed.reasoning_tokens == billed.output_tokens == 900


async def test_a_hard_quota_of_1500_tokens_ends_an_answer_at_1500_tokens(alice: User) -> None:
    await in_db(give, alice, 1500, Unit.OUTPUT_TOKENS)
    model = ScriptedModel(*words(20_000))
    outcome, text, billed = await answer(alice, model)
    assert model.options is not None
    assert model.options.max_tokens == 1500
    assert (outcome.status, outcome.code) == (RunStatus.STOPPED, "quota_exceeded")
    assert outcome.message == "The answer was stopped. You have used up your quota of 1500 output tokens today."
    assert 1490 <= billed.output_tokens <= 1500
    assert len(text) < 6000


async def test_one_read_with_everything_is_cut_at_the_quota(alice: User) -> None:
    await in_db(give, alice, 1500, Unit.OUTPUT_TOKENS)
    outcome, text, billed = await answer(alice, ScriptedModel([Chunk("word " * 100_000)]))
    assert outcome.code == "quota_exceeded"
    assert (billed.output_tokens, text) == (1500, ("word " * 1500).rstrip() + " ")


async def test_an_answer_within_the_quota_is_complete(alice: User) -> None:
    await in_db(give, alice, 1500, Unit.OUTPUT_TOKENS)
    outcome, text, _ = await answer(alice, ScriptedModel(*words(700)))
    assert outcome.status is RunStatus.DONE
    assert text.count("word") == 700


async def test_the_claim_knows_the_ceiling(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL is asked again only to change a reservation."""
    asked: list[Any] = []
    monkeypatch.setattr(limits, "reserve_output", lambda *_, **values: asked.append(values))
    await in_db(give, alice, 5, Unit.MESSAGES)
    await in_db(give, alice, 10, Unit.OUTPUT_TOKENS, hard=False)
    unlimited = ScriptedModel(*words(1500))
    outcome, text, _ = await answer(alice, unlimited)
    assert (outcome.status, text.count("word"), asked) == (RunStatus.DONE, 1500, [])
    assert unlimited.options is not None
    assert unlimited.options.max_tokens is None
    await in_db(give, alice, 5000, Unit.OUTPUT_TOKENS, "hour")
    limited = ScriptedModel(*words(400))
    outcome, text, _ = await answer(alice, limited)
    assert (outcome.status, text.count("word"), asked) == (RunStatus.DONE, 400, [])
    assert limited.options is not None
    assert limited.options.max_tokens == 5000


async def test_a_free_model_gets_no_ceiling_from_a_quota_of_money(alice: User) -> None:
    await in_db(price, datetime(2026, 1, 1, tzinfo=UTC), "0", "0")
    await in_db(give, alice, 1, Unit.MONEY)
    model = ScriptedModel(*words(3))
    await answer(alice, model)
    assert model.options is not None
    assert model.options.max_tokens is None


async def test_an_input_beyond_the_quota_is_refused_before_the_request(alice: User) -> None:
    await in_db(give, alice, 5000, Unit.INPUT_TOKENS)
    model = ScriptedModel(*words(3))
    outcome, text, billed = await answer(alice, model, "word " * 6000)
    assert (outcome.status, outcome.code, text) == (RunStatus.FAILED, "quota_exceeded", "")
    assert outcome.message.startswith("This conversation needs about 6")
    assert "Only 5000 are left of your quota of 5000 input tokens today." in outcome.message
    assert (model.read, billed) == (0, TokenUsage(0, 0, estimated=True))


async def test_the_whole_input_is_reserved_before_the_request(alice: User) -> None:
    await in_db(give, alice, 8000, Unit.INPUT_TOKENS)
    model = ScriptedModel(*words(1500))
    outcome, text, _ = await answer(alice, model, "word " * 6000)
    assert (outcome.status, text.count("word")) == (RunStatus.DONE, 1500)
    _, reserved = (await in_db(standing, alice))["input_tokens"]
    assert reserved > 6000
    model = ScriptedModel(*words(3))
    outcome, _, _ = await answer(alice, model, "word " * 6000)  # admitted, for something is left
    assert (outcome.code, model.read) == ("quota_exceeded", 0)


async def test_what_other_answers_take_meanwhile_is_not_there(alice: User) -> None:
    await in_db(give, alice, 3000, Unit.OUTPUT_TOKENS)
    other = (await in_db(send, alice)).run_id
    await in_db(lambda: reserve_output(other, "small", input_tokens=0, wanted=2000))
    outcome, _, billed = await answer(alice, ScriptedModel(*words(5000)))
    assert outcome.code == "quota_exceeded"
    assert 990 <= billed.output_tokens <= 1000


async def test_a_claimed_usage_of_5_is_not_believed(alice: User) -> None:
    text = "word " * 20_000
    model = ScriptedModel([Chunk(text)], [Chunk(usage=TokenUsage(1, 5), finish_reason="stop")])
    outcome, _, billed = await answer(alice, model)
    assert outcome.status is RunStatus.DONE
    assert (billed.output_tokens, billed.estimated) == (20_000, True)


async def test_a_report_of_fewer_tokens_than_words_is_not_believed(alice: User) -> None:
    """Each of 100 short answers could take 200 tokens more than it was billed with."""
    model = ScriptedModel([Chunk("word " * 100)], [Chunk(usage=TokenUsage(1, 5), finish_reason="stop")])
    outcome, _, billed = await answer(alice, model)
    assert outcome.status is RunStatus.DONE
    assert (billed.output_tokens, billed.estimated) == (100, True)


async def test_a_plausible_report_is_billed_as_it_is(alice: User) -> None:
    reported = TokenUsage(40, 1000, cached_tokens=3, reasoning_tokens=20)
    model = ScriptedModel([Chunk("word " * 1000)], [Chunk(usage=reported, finish_reason="stop")])
    assert (await answer(alice, model))[2] == reported


async def test_without_anything_left_no_request_is_sent(alice: User) -> None:
    await in_db(give, alice, 10, Unit.OUTPUT_TOKENS)
    accepted = await in_db(send, alice)

    def use_up() -> None:
        from accounts.models import Allowance

        Allowance.objects.update(used=10)

    claimed = await in_db(claim, accepted.run_id, "worker")
    assert claimed is not None
    await in_db(use_up)
    model = ScriptedModel(*words(10))
    log = RunLog(lambda *_: None, accepted.conversation_id, accepted.run_id, 1)
    outcome = await ModelAnswer(claimed, log, cast("Any", model), RunClock(claimed.run)).read()
    assert (outcome.status, outcome.code, model.read) == (RunStatus.FAILED, "quota_exceeded", 0)
