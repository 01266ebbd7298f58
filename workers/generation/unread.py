"""What judges have not read of a run's question and answer when it ends: noted in the transaction that ends it, so that
others judge it if this worker does not come to it.
"""

from __future__ import annotations

from chat.models import Message
from chat.models.moderation import Direction
from chat.moderation.withheld_questions import WITHHELD
from chat.runs.claims import Claim
from chat.runs.unread import note_unread
from workers.generation.outcome import Outcome
from workers.generation.output_judge import OutputJudge
from workers.generation.services import Services


class UnreadTexts:
    """`question`: a judge that has to read it, or can do so only later, has not done so yet."""

    def __init__(self, services: Services, claim: Claim, output: OutputJudge) -> None:
        self._judged = bool(services.judges.of(Direction.ASKED))
        self._run = claim.run
        self._output = output
        self.question = self._judged and not claim.shown_text and not claim.begun

    @property
    def concerns(self) -> bool:
        """Whether a judge reads the question or the answer, so that there may be something to note."""
        return self._judged or self._output.active

    def note(self, outcome: Outcome, text: str) -> None:
        """A part of the transaction that has ended the run with `text`. Sync."""
        if self.question:
            note_unread([self._run.prompt_id])
        self._output.note_end(text, withheld=outcome.withheld is not None and outcome.withheld.kept is not None)
        if self._judged and self._is_question_withheld():
            note_unread([self._run.message_id])

    def _is_question_withheld(self) -> bool:
        """By a late verdict: what the model has written of its answer goes, too."""
        return Message.objects.filter(pk=self._run.prompt_id, moderation__action__in=WITHHELD).exists()
