"""Which messages of a conversation are sent to a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from workers.providers.base import ChatTurn, ToolImage
from workers.providers.counting import ESTIMATE, TokenCount
from workers.providers.token_estimate import ANSWER_TOKENS

# Trimming removes an eighth of the budget at a time. The prefix in a provider's cache then changes once in many turns,
# not with every turn.
BLOCKS: Final = 8
ANSWER_ROOM: Final = 4096  # tokens of the window that are left for an answer of no given length
ANSWER_SHARE: Final = 4  # at most one part in so many of the window
NO_IMAGES: Final[Mapping[int, Sequence[ToolImage]]] = {}
SUMMARY_HEAD: Final = "Summary of the earlier part of this conversation:"


@dataclass(frozen=True, slots=True)
class Fitted:
    """The turns of a request. `used` are their tokens, `dropped` the older messages that did not fit, `kept` those
    that did. `fits`: the turns are within the budget; if not, the question alone is too long. `first` is the place in
    the path of the first message that is kept.
    """

    turns: list[ChatTurn]
    used: int
    dropped: int
    kept: int
    fits: bool
    first: int = 0


def answer_room(window: int, max_tokens: int | None) -> int:
    """How many tokens of a window are left for the answer."""
    return min(max_tokens or ANSWER_ROOM, window // ANSWER_SHARE)


def build_turns(system_prompt: str, path: Sequence[tuple[str, str]], *, budget_tokens: int) -> list[ChatTurn]:
    """The turns of `fit_turns`, counted by the estimate."""
    return fit_turns(system_prompt, path, budget_tokens=budget_tokens).turns


def fit_turns(
    system_prompt: str,
    path: Sequence[tuple[str, str]],
    *,
    budget_tokens: int,
    count: TokenCount = ESTIMATE,
    summary: str = "",
    images: Mapping[int, Sequence[ToolImage]] = NO_IMAGES,
) -> Fitted:
    """The turns of a request: the system prompt, unchanged, then the newest of `path` that fit in `budget_tokens`.

    `path` is the branch from its first message to the question, as (role, text); `summary` stands for what came before
    and goes with the system prompt. Answers without text (failed, or not written yet) are left out, and consecutive
    messages of one role become one turn. Whole questions with their answers are removed, oldest first and in blocks,
    and so is what people wrote without asking. The question itself always stays, even when it alone is too long.
    `images` are those of the messages, by their place in `path`.
    """
    prompt = "\n\n".join(part for part in (system_prompt, f"{SUMMARY_HEAD}\n{summary}" if summary else "") if part)
    system = [ChatTurn("system", prompt)] if prompt else []
    exchanges = _split_exchanges(path, images)
    costs = [sum(count.turn(turn) for turn in exchange.turns) for exchange in exchanges]
    fixed = ANSWER_TOKENS + sum(map(count.turn, system))
    first = _first_kept(costs, budget_tokens - fixed)
    kept = exchanges[first:]
    turns = _joined(kept)
    used = fixed + (
        sum(costs[first:]) if len(turns) == sum(len(one.turns) for one in kept) else sum(map(count.turn, turns))
    )
    return Fitted(
        system + turns,
        used,
        sum(exchange.messages for exchange in exchanges[:first]),
        sum(exchange.messages for exchange in kept),
        used <= budget_tokens,
        kept[0].first if kept else 0,
    )


def fit_exactly(turns: list[ChatTurn], *, budget_tokens: int, count: TokenCount = ESTIMATE) -> Fitted:
    """The turns of a request that is sent as it was given, whether it fits or not."""
    used = ANSWER_TOKENS + sum(map(count.turn, turns))
    return Fitted(turns, used, 0, len(turns), used <= budget_tokens)


@dataclass(slots=True)
class _Exchange:
    """A question and its answer, or a message that was not answered. `messages`: how many they were made of."""

    turns: list[ChatTurn]
    messages: int
    first: int  # place in the path


def _split_exchanges(path: Sequence[tuple[str, str]], images: Mapping[int, Sequence[ToolImage]]) -> list[_Exchange]:
    """Each message of a person with the answer to it, if there is one; only the first may be an answer alone."""
    exchanges: list[_Exchange] = []
    for place, (role, text) in enumerate(path):
        if not text.strip():
            continue
        if role == "user" or not exchanges:
            exchanges.append(_Exchange([ChatTurn(role, text, images=images.get(place, ()))], 1, place))
            continue
        last = exchanges[-1]
        last.messages += 1
        if last.turns[-1].role == role:
            last.turns[-1] = ChatTurn(role, f"{last.turns[-1].content}\n\n{text}")
        else:
            last.turns.append(ChatTurn(role, text))
    return exchanges


def _joined(exchanges: Sequence[_Exchange]) -> list[ChatTurn]:
    """The turns of exchanges; what people wrote one after the other is one turn, as many APIs want it."""
    turns: list[ChatTurn] = []
    for turn in (turn for exchange in exchanges for turn in exchange.turns):
        if turns and turns[-1].role == turn.role:
            seen = (*turns[-1].images, *turn.images)
            turns[-1] = ChatTurn(turn.role, f"{turns[-1].content}\n\n{turn.content}", images=seen)
        else:
            turns.append(turn)
    return turns


def _first_kept(costs: list[int], budget: int) -> int:
    """The index of the first exchange to keep.

    With `ends` as the running sum of costs, the tokens over the budget are rounded up to whole blocks, and all
    exchanges that begin within them are removed. As a conversation grows, the result changes only with each block.
    """
    ends = list(accumulate(costs))
    over = ends[-1] - budget if ends else 0
    if over <= 0:
        return 0
    block = max(1, budget // BLOCKS)
    cut = -(-over // block) * block
    first = next((index for index, end in enumerate(ends) if end - costs[index] >= cut), len(costs) - 1)
    return min(first, len(costs) - 1)
