"""Estimates the usage of a request whose worker was lost before it was counted, from what was shown. Sync."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from django.conf import settings
from django.db.models import Sum
from django.db.models.functions import Length

from accounts.quotas.settlement import Used, settle_step
from chat.models import Run, ToolCall
from chat.runs.context import read_branch
from chat.runs.system_prompt import read_system_prompt, with_people

CHARACTERS_PER_ESTIMATED_TOKEN: Final = 4  # of what a lost worker's model read and wrote, about


@dataclass(frozen=True, slots=True)
class Lost:
    """All that an answer and its thinking had when its worker was lost."""

    text: str
    reasoning: str


def estimate_lost(run: Run, lost: Lost, *, asked: bool = False) -> Used:
    """What the last request of a run has used, without counting a message. It was certainly sent if there is something
    of it; `asked`: it is known anyhow.
    """
    text, thinking = lost.text[run.begins_with :], lost.reasoning[run.kept_reasoning :]
    read = _tokens_read(run) if text or thinking or asked else 0
    thought = -(-len(thinking) // CHARACTERS_PER_ESTIMATED_TOKEN)
    written = -(-len(text) // CHARACTERS_PER_ESTIMATED_TOKEN) + thought
    return Used(
        run.model, run.endpoint, input_tokens=read, output_tokens=written, reasoning_tokens=thought, estimated=True
    )


def book_lost(run: Run, lost: Lost) -> None:
    """Books it, of a run with steps that is queued again, and releases what the run has reserved. Does nothing if
    nothing was shown after the last finished step.
    """
    used = estimate_lost(run, lost)
    if used.output_tokens:
        settle_step(run.requested_by_id, run.pk, run.created_at, used, conversation_id=run.conversation_id)


def _tokens_read(run: Run) -> int:
    """About how many tokens the model was given; never more than its context holds."""
    branch = read_branch(run.prompt_id)
    prompt = with_people(read_system_prompt(run.prompt_id), several=bool(branch.authors))
    characters = len(prompt) + sum(len(text) for _, text in branch.named_path)
    characters += run.begins_with
    if run.step_count:
        sums = ToolCall.objects.filter(run=run).aggregate(asked=Sum(Length("arguments")), got=Sum(Length("output")))
        characters += (sums["asked"] or 0) + (sums["got"] or 0)
    return min(-(-characters // CHARACTERS_PER_ESTIMATED_TOKEN), settings.MODEL_CONTEXT_TOKENS)
