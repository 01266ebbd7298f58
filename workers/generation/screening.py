"""Moderation of one attempt at an answer: what may be shown of what its model writes and thinks.

The rules are those in force when the attempt began. Each text has a stream filter of its own, which is fed once per
append (`workers.generation.growing_text`). Hits longer than it looks back are found when the text has ended. A rule
that blocks or holds ends the attempt, whichever text it is in; what rules mask is replaced before anybody is shown it.
What was withheld is kept for the case, and is in no other place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import structlog

from chat.models.moderation import Action
from chat.moderation.cases import ANSWER_MASKED, ANSWER_STOPPED, Finding, finding_of
from chat.moderation.matching import matcher
from chat.moderation.matching.matcher import REACH, Hit
from chat.moderation.matching.stream import StreamFilter
from chat.moderation.rules import RuleSet, Verdict
from chat.telemetry import metrics

STOPPED: Final = ANSWER_STOPPED

logger = structlog.get_logger(__name__)


def _nothing() -> None:
    pass


def stopped_sentence(notice: str) -> str:
    """Why an answer was stopped, with the notice of the rule that stopped it."""
    return f"Stopped by this site's rules: {notice}" if notice not in ("", STOPPED) else STOPPED


@dataclass(frozen=True, slots=True)
class Screened:
    """Both texts of an attempt as they may be stored, and what was found in them.

    `original` is the whole answer with all that its model wrote, `original_reasoning` what it thought. `stopped`: a
    rule has ended the attempt. `failed`: it could not be screened to its end.
    """

    text: str
    reasoning: str
    original: str
    original_reasoning: str = ""
    finding: Finding | None = None
    stopped: bool = False
    failed: bool = False

    @property
    def sentence(self) -> str:
        """Why the answer was stopped, for its reader."""
        return stopped_sentence(self.finding.notice if self.finding else "")


class TextScreen:
    """One text of an attempt. `before` is what there was of it before the attempt, `begins` its length."""

    def __init__(self, rules: RuleSet, owner: AnswerScreen, before: str = "") -> None:
        self._owner = owner
        self._rules = rules
        self._filter = StreamFilter(rules.matcher, before)
        self._original = [before]
        self.begins = len(before)
        self.hits: list[Hit] = []
        self.most_held = 0  # characters that were held back at a time

    @property
    def held(self) -> int:
        """Characters that are held back."""
        return self._filter.held

    def feed(self, text: str, *, last: bool = False) -> str:
        """What may be shown now. Once the attempt has been stopped, that is at most what was held back of a text in
        which nothing was found.
        """
        if self._owner.failed or self._filter.blocked or (self._owner.stopped and not last):
            return ""
        text = "" if self._owner.stopped else text
        self._original.append(text)
        try:
            released = self._filter.feed(text, last=last)
        except Exception:
            logger.exception("answer_not_screened")
            self._owner.failed = True
            self._owner.on_stopped()
            return ""
        if released.hits:
            self.hits += released.hits
        if (held := self._filter.held) > self.most_held:
            self.most_held = held
        if released.blocked:
            self._owner.stopped = True
            self._owner.on_stopped()
        return released.text

    def search_whole(self) -> None:
        """Finds hits that are longer than what is searched at a time, in a text that has ended."""
        text = self.original[: self._filter.shown]
        if self._owner.ended or len(text) <= REACH or self._rules.matcher.context < REACH:
            return
        found = self._rules.matcher.find(text)
        longer = [
            hit for hit in found if hit.end - hit.start > REACH and hit.end > self.begins and hit not in self.hits
        ]
        self.hits += longer
        if any(hit.action > matcher.Action.MASK for hit in longer):
            self._owner.stopped = True

    @property
    def original(self) -> str:
        return "".join(self._original)

    def final(self) -> str:
        """The text as it may be stored: without anything from the first hit on that stops it, and masked.

        It is what `feed` returned, unless a hit had begun in what was shown before.
        """
        stops = [hit.start for hit in self.hits if hit.action > matcher.Action.MASK]
        end = min([*stops, self._filter.shown])
        masks = [replace(hit, end=min(hit.end, end)) for hit in self.hits if hit.action is matcher.Action.MASK]
        return matcher.masked(self.original[:end], [hit for hit in masks if hit.start < end])

    def finding(self) -> Finding | None:
        known = {number: self._rules.known[number] for number in sorted({hit.rule for hit in self.hits})}
        return finding_of(Verdict("", tuple(self.hits), known))


class AnswerScreen:
    """The answer of an attempt and its thinking, each with what there was of it before. `on_stopped` is called when a
    rule, or a failure, ends the attempt.
    """

    def __init__(self, rules: RuleSet, text_before: str = "", reasoning_before: str = "") -> None:
        self.on_stopped: Callable[[], None] = _nothing
        self.stopped = False
        self.failed = False
        self.rules = rules
        self.answer = TextScreen(rules, self, text_before)
        self.thinking = TextScreen(rules, self, reasoning_before)

    @property
    def ended(self) -> bool:
        return self.stopped or self.failed

    @property
    def has_hits(self) -> bool:
        """Whether something was found so far."""
        return bool(self.answer.hits or self.thinking.hits)

    @property
    def is_masked(self) -> bool:
        """Whether a text is shown other than its model wrote it."""
        return any(hit.action > matcher.Action.FLAG for hit in (*self.answer.hits, *self.thinking.hits))

    def complete(self) -> None:
        """Both texts have ended, and nothing of them is held back any more."""
        metrics.observe_held_back(max(self.answer.most_held, self.thinking.most_held))
        self.thinking.search_whole()
        self.answer.search_whole()

    def result(self) -> Screened:
        """After both texts have ended."""
        return Screened(
            self.answer.final(),
            self.thinking.final(),
            self.answer.original,
            self.thinking.original,
            _joined(self.answer.finding(), self.thinking.finding()),
            self.stopped,
            self.failed,
        )


def _joined(answered: Finding | None, thought: Finding | None) -> Finding | None:
    """What was found in both texts as one finding, of the severer action."""
    if thought is not None:
        thought = replace(thought, details=tuple({**each, "in": "thinking"} for each in thought.details))
    if answered is None or thought is None:
        found = answered or thought
        return found and worded(found)
    order = list(Action)
    first, second = sorted((answered, thought), key=lambda one: order.index(one.action), reverse=True)
    worst = max(first, second, key=lambda one: one.severity)
    details = (*answered.details, *thought.details)
    return worded(replace(first, category=worst.category, severity=worst.severity, details=details))


def worded(finding: Finding) -> Finding:
    """The general sentence about an action, in the words for an answer."""
    general = {Action.MASK: ANSWER_MASKED, Action.HOLD: STOPPED, Action.BLOCK: STOPPED}
    return finding if finding.is_worded else replace(finding, notice=general.get(finding.action, ""))
