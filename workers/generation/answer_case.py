"""The case of one attempt at an answer: opened with the first step, or the end, in which something was found. Sync."""

from __future__ import annotations

from dataclasses import replace

from chat.models import ModerationCase
from chat.models.moderation import CaseStatus, CaseTarget, Direction
from chat.moderation.cases import Finding, open_case, shown_moderation
from chat.runs.context import ClaimedRun
from workers.generation.screening import AnswerScreen


class AnswerCase:
    """Written with each step that ends and with the answer's end, each time with all that this attempt has written."""

    def __init__(self, run: ClaimedRun, screen: AnswerScreen) -> None:
        self._run = run
        self.screen = screen
        self._before: tuple[str, str] | None = None  # both originals of what was there before this attempt

    @property
    def concerns(self) -> bool:
        """Whether there may be something to write."""
        run = self._run
        return bool(run.base_chars or run.step_count) or self._before is not None or self.screen.has_hits

    def record(self) -> dict[str, str]:
        """Opens the case, within the transaction that stores what is left of the text. Returns what
        `Message.moderation` says, {} without a new finding.

        An open case of the answer also gets what was written without one, so that it has all of it. May be repeated.
        """
        run, screened = self._run, self.screen.result()
        cases = ModerationCase.objects.filter(target=CaseTarget.MESSAGE, target_id=run.message_id)
        known = cases.exclude(status=CaseStatus.DECIDED).first()
        begins = self.screen.answer.begins, self.screen.thinking.begins
        shown = screened.original[: begins[0]], screened.original_reasoning[: begins[1]]
        if self._before is None:
            has_texts = known is not None and bool(known.original or known.original_reasoning)
            self._before = (known.original, known.original_reasoning) if known is not None and has_texts else shown
        original = self._before[0] + screened.original[begins[0] :]
        reasoning = self._before[1] + screened.original_reasoning[begins[1] :]
        if known is not None and (known.original or known.original_reasoning):
            known.original, known.original_reasoning = original, reasoning
            known.save(update_fields=["original", "original_reasoning"])
        if screened.finding is None:
            return {}
        moved = [len(before) - len(text) for before, text in zip(self._before, shown, strict=True)]
        case = open_case(
            CaseTarget.MESSAGE, run.message_id, _moved(screened.finding, *moved), direction=Direction.ANSWERED,
            original=original, original_reasoning=reasoning, person_id=run.user_id,
            conversation_id=run.conversation_id,
        )  # fmt: skip
        return shown_moderation(case)


def _moved(finding: Finding, answered: int, thought: int) -> Finding:
    """The finding with its places in the originals, which are longer than what was shown of them."""
    details = []
    for one in finding.details:
        by = thought if one.get("in") == "thinking" else answered
        places = [[start + by, end + by] for start, end in one.get("places", ())]
        details.append({**one, "places": places} if "places" in one else one)
    return replace(finding, details=tuple(details))
