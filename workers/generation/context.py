"""Which messages of a conversation are sent to a model."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Final

from workers.providers.base import ChatTurn
from workers.providers.token_estimate import ANSWER_TOKENS, TURN_TOKENS, estimate_tokens

# Trimming removes an eighth of the budget at a time. The prefix in a provider's cache then changes once in many turns,
# not with every turn.
BLOCKS: Final = 8


def build_turns(system_prompt: str, path: Sequence[tuple[str, str]], *, budget_tokens: int) -> list[ChatTurn]:
    """The turns of a request: the system prompt, unchanged, then the newest of `path` that fit in `budget_tokens`.

    `path` is the branch from its first message to the question, as (role, text). Answers without text (failed, or not
    written yet) are left out, and consecutive messages of one role become one turn. Whole questions with their
    answers are removed, oldest first and in blocks. The question itself always stays, even when it alone is too long;
    the endpoint then rejects it. Tokens are estimates (`providers/token_estimate.py`).
    """
    system = [ChatTurn("system", system_prompt)] if system_prompt else []
    exchanges = split_exchanges(path)
    if _fits_surely(system_prompt, exchanges, budget_tokens):
        kept = exchanges
    else:
        budget = budget_tokens - ANSWER_TOKENS - sum(_cost(turn) for turn in system)
        kept = exchanges[_first_kept([sum(map(_cost, exchange)) for exchange in exchanges], budget) :]
    return system + [turn for exchange in kept for turn in exchange]


def split_exchanges(path: Sequence[tuple[str, str]]) -> list[list[ChatTurn]]:
    """Lists of a question and its answer; only the first list may be an answer alone."""
    merged: list[ChatTurn] = []
    for role, text in path:
        if not text.strip():
            continue
        if merged and merged[-1].role == role:
            merged[-1] = ChatTurn(role, f"{merged[-1].content}\n\n{text}")
        else:
            merged.append(ChatTurn(role, text))
    exchanges: list[list[ChatTurn]] = []
    for turn in merged:
        if turn.role == "user" or not exchanges:
            exchanges.append([turn])
        else:
            exchanges[-1].append(turn)
    return exchanges


def _fits_surely(system_prompt: str, exchanges: list[list[ChatTurn]], budget: int) -> bool:
    """A quick check without counting tokens: there are never more than bytes, at most four for each character."""
    turns = [turn for exchange in exchanges for turn in exchange]
    characters = len(system_prompt) + sum(len(turn.content) for turn in turns)
    return 4 * characters + TURN_TOKENS * (len(turns) + 1) + ANSWER_TOKENS <= budget


def _cost(turn: ChatTurn) -> int:
    return TURN_TOKENS + estimate_tokens(turn.content)


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
