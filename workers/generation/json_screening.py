"""Moderation of an answer that a program wants as JSON."""

from __future__ import annotations

from dataclasses import replace

import structlog

from chat.moderation.matching import matcher
from chat.moderation.rules import RuleSet
from chat.moderation.structured import search_answer
from chat.runs.claims import Claim
from workers.generation.exact_turns import form_of
from workers.generation.screening import AnswerScreen, TextScreen

logger = structlog.get_logger(__name__)


def screen_of(claim: Claim, rules: RuleSet, thought: str) -> AnswerScreen:
    """Moderation of this attempt, with what was shown and thought before it."""
    screen = AnswerScreen(rules, claim.shown_text, thought)
    if form_of(claim) is not None and not claim.shown_text:
        screen.answer = JsonScreen(rules, screen)
    return screen


class JsonScreen(TextScreen):
    """Nothing of the answer is shown before it has ended: only then are its strings known without their escapes, which
    would hide words, and only then can a number be replaced so that the rest is JSON.
    """

    def __init__(self, rules: RuleSet, owner: AnswerScreen) -> None:
        super().__init__(rules, owner)
        self._waiting: list[str] = []
        self._shown: list[str] = []

    @property
    def held(self) -> int:
        return sum(map(len, self._waiting))

    def feed(self, text: str, *, last: bool = False) -> str:
        """What may be shown now: all that has come, once the text has ended or pauses."""
        if self._owner.ended:
            return ""
        self._waiting.append(text)
        self.most_held = max(self.most_held, self.held)
        if not last:
            return ""
        written = "".join(self._waiting)
        self._waiting.clear()
        return self._screen(written) if written else ""

    def _screen(self, written: str) -> str:
        before = len(self.original)
        try:
            found = search_answer(self._rules.matcher.find, written)
        except Exception:
            logger.exception("answer_not_screened")
            self._owner.failed = True
            self._owner.on_stopped()
            return ""
        self._original.append(found.original)
        self.hits += [replace(hit, start=hit.start + before, end=hit.end + before) for hit in found.hits]
        if any(hit.action > matcher.Action.MASK for hit in found.hits):
            self._owner.stopped = True
            self._owner.on_stopped()
            return ""
        self._shown.append(found.masked)
        return found.masked

    def search_whole(self) -> None:
        """Nothing: it was searched as a whole."""

    def final(self) -> str:
        return "".join(self._shown)
