"""What of a conversation a model gets to read."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Final

from workers.providers.base import ChatTurn
from workers.providers.token_estimate import ANSWER_TOKENS, TURN_TOKENS, estimate_tokens

# Trimming takes an eighth of the budget at a time: the text a provider has in its prefix cache then changes once in
# many turns, not with each.
BLOCKS: Final = 8


def build_turns(system_prompt: str, path: Sequence[tuple[str, str]], *, budget_tokens: int) -> list[ChatTurn]:
    """The turns of a request: the system prompt, unchanged, then the newest of `path` that fit in `budget_tokens`.

    `path` is the branch from its first message to the question, as (role, text). Answers with no text (failed, or not
    there yet) are left out, and neighbours of one role become one turn. What goes, goes as whole questions with
    their answers, oldest first and in blocks. The question itself always stays, even where it alone is too long: the
    endpoint then says so. Tokens are estimates (`providers/tokens.py`).
    """
    system = [ChatTurn("system", system_prompt)] if system_prompt else []
    exchanges = _split_exchanges(path)
    if _fits_surely(system_prompt, exchanges, budget_tokens):
        kept = exchanges
    else:
        budget = budget_tokens - ANSWER_TOKENS - sum(_cost(turn) for turn in system)
        kept = exchanges[_first_kept([sum(map(_cost, exchange)) for exchange in exchanges], budget) :]
    return system + [turn for exchange in kept for turn in exchange]


def _split_exchanges(path: Sequence[tuple[str, str]]) -> list[list[ChatTurn]]:
    """A question and its answer each; only the first may be an answer alone."""
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
    """Without counting: an estimate is never more than the bytes, at most four for each character."""
    turns = [turn for exchange in exchanges for turn in exchange]
    characters = len(system_prompt) + sum(len(turn.content) for turn in turns)
    return 4 * characters + TURN_TOKENS * (len(turns) + 1) + ANSWER_TOKENS <= budget


def _cost(turn: ChatTurn) -> int:
    return TURN_TOKENS + estimate_tokens(turn.content)


def _first_kept(costs: list[int], budget: int) -> int:
    """Which exchange to begin with.

    With `ends` as the running sum of costs, tokens over the budget are rounded up to whole blocks, and all exchanges
    that begin within them go. As a conversation grows the result moves only when it crosses another block.
    """
    ends = list(accumulate(costs))
    over = ends[-1] - budget if ends else 0
    if over <= 0:
        return 0
    block = max(1, budget // BLOCKS)
    cut = -(-over // block) * block
    first = next((index for index, end in enumerate(ends) if end - costs[index] >= cut), len(costs) - 1)
    return min(first, len(costs) - 1)
