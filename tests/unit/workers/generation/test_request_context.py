"""What a request says: what fits in the model's window, and less after a refusal."""

from __future__ import annotations

import itertools
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.runs.claims import Claim
from chat.runs.context import ClaimedRun
from workers.generation.context import SUMMARY_HEAD, answer_room, fit_turns
from workers.generation.request_context import NothingKnown, RequestContext
from workers.providers.base import ChatTurn, ProviderError, TokenUsage
from workers.providers.counting import TokenCount
from workers.providers.windows import ModelWindow

SYSTEM = "Be brief."
NIL = uuid.UUID(int=0)


class Known(NothingKnown):
    def __init__(self, tokens: int | None, count: TokenCount | None = None) -> None:
        super().__init__()
        self.tokens, self.counted = tokens, count or TokenCount()

    def window_of(self, model: str) -> ModelWindow:
        return ModelWindow(model, "host", self.tokens, "list", self.counted)


def dialogue(exchanges: int, words: int = 20) -> list[tuple[str, str]]:
    path = []
    for number in range(exchanges):
        path += [
            ("user", f"question {number} " + "word " * words),
            ("assistant", f"answer {number} " + "word " * words),
        ]
    return path[:-1]


def context_of(path: list[tuple[str, str]], known: Known, **more: Any) -> RequestContext:
    run = ClaimedRun(NIL, NIL, NIL, NIL, "m", 1, 0, None, "")
    return RequestContext(Claim(run, SYSTEM, path, **more), known)


def too_long(said: str = "") -> ProviderError:
    return ProviderError("context_too_long", "This conversation is too long.", said=said)


texts = st.text(st.sampled_from("ab 1,.\n你好ü👋"), max_size=200)


@given(
    path=st.lists(st.tuples(st.sampled_from(["user", "assistant"]), texts), max_size=20),
    question=texts.filter(str.strip),
    budget=st.integers(0, 2000),
    factors=st.dictionaries(st.sampled_from(["ascii", "cjk"]), st.floats(0.2, 6)),
    summary=st.sampled_from(["", "They greeted each other."]),
)
def test_it_fits_and_keeps_the_system_prompt_and_the_question(
    path: list[tuple[str, str]], question: str, budget: int, factors: dict[str, float], summary: str
) -> None:
    count = TokenCount(factors)
    asked = [*path, ("user", question)]
    fitted = fit_turns(SYSTEM, asked, budget_tokens=budget, count=count, summary=summary)
    first, *rest = fitted.turns
    assert first == ChatTurn("system", f"{SYSTEM}\n\n{SUMMARY_HEAD}\n{summary}" if summary else SYSTEM)
    assert rest[-1].role == "user"
    assert rest[-1].content.endswith(question)
    assert all(one.role != other.role for one, other in itertools.pairwise(rest))
    assert fitted.used == count.turns(fitted.turns)
    assert fitted.fits == (fitted.used <= budget)
    assert fitted.fits or len(rest) == 1 or fitted.dropped == 0 or rest[0].role == "user"
    assert fitted.dropped + fitted.kept == sum(bool(text.strip()) for _, text in asked)


def test_a_known_window_is_used_but_for_the_room_of_the_answer(settings: Any) -> None:
    settings.MODEL_CONTEXT_TOKENS, settings.MODEL_CONTEXT_MAX_TOKENS = 100, 200_000
    context = context_of(dialogue(400), Known(8192))
    assert 0.6 * 8192 < context.used <= 8192 - answer_room(8192, None)
    assert context.window == 8192
    assert context.dropped + sum(turn.role != "system" for turn in context.turns) == len(dialogue(400))
    assert context_of(dialogue(400), Known(None)).used <= 100
    settings.MODEL_CONTEXT_MAX_TOKENS = 4000
    assert context_of(dialogue(400), Known(8192)).window == 4000


def test_messages_that_were_not_even_read_are_counted() -> None:
    assert context_of(dialogue(3), Known(8192), older=14).dropped == 14


def test_a_question_that_can_never_fit_is_refused_with_its_size_and_the_window() -> None:
    context = context_of([("user", "word " * 20_000)], Known(8192))
    assert context.too_long().startswith(
        "Your message is too long for this model: with its instructions it has about 20,0"
    )
    assert "at most 8,192" in context.too_long()
    assert context_of([("user", "word " * 8_500)], Known(8192)).too_long() == "", "the count may be that wrong"
    assert context_of([("user", "word " * 20_000)], Known(None)).too_long() == ""


@pytest.mark.parametrize("window", [None, 32_000])
async def test_a_refusal_that_names_the_window_is_learnt_and_the_request_made_to_fit(window: int | None) -> None:
    known = Known(window)
    context = context_of(dialogue(200), known)
    context.asked = ("host", "m")
    said = f"maximum context length is 4096 tokens. However, your messages resulted in {2 * context.used} tokens."
    assert await context.fit_again(too_long(said))
    assert context.used <= 0.5 * (4096 - answer_room(4096, None)), "it has twice the tokens that were counted"
    assert context.turns[-1].content == dialogue(200)[-1][1]
    assert context.dropped > 0
    assert context.window == 4096
    learnt = known.facts.of("host", "m")
    assert learnt is not None
    assert learnt.window == 4096
    assert not await context.fit_again(too_long(said)), "only once"


@pytest.mark.parametrize("error", [too_long(), ProviderError("upstream_empty", "Nothing.", reason="nothing")])
async def test_without_a_number_half_of_it_is_tried(error: ProviderError) -> None:
    known = Known(None)
    context = context_of(dialogue(50), known)
    before = context.used
    assert await context.fit_again(error)
    assert 0.2 * before < context.used <= before // 2
    assert known.facts.take_changed() == []


async def test_other_errors_are_not_for_a_shorter_context() -> None:
    context = context_of(dialogue(50), Known(None))
    assert not await context.fit_again(ProviderError("upstream_error", "No."))
    assert not await context.fit_again(ProviderError("upstream_empty", "An empty answer."))


async def test_nothing_to_leave_out() -> None:
    context = context_of([("user", "word " * 3000)], Known(None))
    error = too_long("maximum context length is 2048 tokens")
    assert not await context.fit_again(error)
    assert "at most 2,048" in context.refusal(error)
    assert context_of(dialogue(5), Known(None)).refusal(too_long()) == "This conversation is too long."


def test_figures_that_contradict_the_refusal_are_not_named() -> None:
    context = context_of([("user", "word " * 100)], Known(128_000))
    assert context.refusal(too_long()) == "This conversation is too long."


def test_it_learns_from_the_usage_of_the_model_that_answered() -> None:
    known = Known(None)
    context = context_of(dialogue(5), known)
    context.asked = ("elsewhere", "other")
    context.learn(TokenUsage(2 * context.used, 5))
    assert known.facts.count("elsewhere", "other").factors["ascii"] == pytest.approx(2, rel=0.2)
    context.learn(None)
