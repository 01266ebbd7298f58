"""Thinking that was shown as text of the answer, because its model sends no opening tag and that was not known yet.

It is moved when the answer has ended: the event log then begins anew, so that all readers get both texts. The next
answers of the model are read as thinking from their beginning (`workers.providers.http.negotiation`).
"""

from __future__ import annotations

import time
from dataclasses import replace

from chat.runs.claims import Claim
from workers.generation.screening import Screened
from workers.generation.steps.loop import StepLoop
from workers.providers.thinking_tags import split_unopened


def move_thinking(screened: Screened, claim: Claim, answer: StepLoop, *, judged: bool) -> Screened:
    """The texts of an answer with its thinking moved; the same where there is none to move, in answers with steps and
    in continued ones, and where a rule or a judge has read the text as it was.

    How long it took is estimated by its share of the text.
    """
    if judged or screened.finding or screened.reasoning or claim.shown_text or answer.has_steps:
        return screened
    found, began = split_unopened(screened.text), answer.first_token
    if found is None or began is None:
        return screened
    seconds = (time.monotonic() - began) * len(found.thinking) / len(screened.text)
    thought = answer.requests[-1].thinking.take_over(found.thinking, seconds)
    return replace(screened, text=found.answer, reasoning=thought, original=found.answer, original_reasoning=thought)
