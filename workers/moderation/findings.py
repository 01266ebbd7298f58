"""What judgements mean for a text: one finding, as `chat.moderation.cases` opens cases of it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from accounts.lib.texts import gettext_noop
from chat.models.moderation import Action, CaseOrigin, Category, Severity
from chat.moderation.cases import NOTICES, REST_WITHHELD, Finding
from workers.moderation.config import CategoryPolicy
from workers.moderation.judge import Judgement

UNCHECKED_QUESTION: Final = gettext_noop(
    "This could not be checked just now, so it was not sent to the model. Please try again soon."
)
UNCHECKED_ANSWER: Final = gettext_noop("The rest of this answer could not be checked just now, so it was withheld.")
_ORDER: Final = (Action.FLAG, Action.HOLD, Action.BLOCK)


@dataclass(frozen=True, slots=True)
class JudgeFinding:
    """`finding` is what judges have found; None: nothing. `refused`: a judge that has to be asked gave no verdict.
    `unjudged`: some judge gave none, and the text is to be judged later.
    """

    finding: Finding | None = None
    refused: bool = False
    unjudged: bool = False


def finding_of_judgements(judgements: Sequence[Judgement], *, answered: bool) -> JudgeFinding:
    """What these judgements of one text mean: the severest action of all hits, the category of the severest hit.

    While a judge gives no verdict the text is let through, to be judged later, unless one of its categories is closed.
    """
    hits = [(judgement, policy) for judgement in judgements for policy in judgement.hits]
    away = [judgement for judgement in judgements if judgement.away]
    details = tuple(_verdict(one) for one in judgements if one.hits) + tuple(_absence(one) for one in away)
    refused = any(one.judge.closed for one in away)
    if not hits and not away:
        return JudgeFinding()
    if hits:
        judgement, policy = max(hits, key=lambda hit: (_rank(hit[1]), hit[1].severity))
        action, category, severity = policy.action, policy.category, max(one.severity for _, one in hits)
        notice = judgement.judge.notice or _notice(action, answered=answered)
        found = Finding(CaseOrigin.JUDGE, action, category, severity, notice, details)
        if action is not Action.FLAG or not refused:
            return JudgeFinding(found, unjudged=bool(away))
        if not answered:
            return JudgeFinding(found, refused=True, unjudged=True)
    elif not refused:
        return JudgeFinding(unjudged=True)
    if not answered:
        return JudgeFinding(refused=True, unjudged=True)
    worst = max((policy for one in away for policy in one.judge.closed), key=lambda policy: policy.severity)
    return JudgeFinding(
        Finding(CaseOrigin.JUDGE, Action.BLOCK, worst.category, worst.severity, UNCHECKED_ANSWER, details), refused=True
    )


def unread(judgements: Sequence[Judgement]) -> Finding:
    """A judge answers, but never with a verdict about this text: people have to read it."""
    details = tuple(_absence(one) for one in judgements if one.away)
    return Finding(CaseOrigin.JUDGE, Action.FLAG, Category.OTHER, Severity.LOW, "", details)


def is_about(details: Sequence[Any], judge_id: str, version: int) -> bool:
    """Whether the details of a case have a verdict of this version of a judge."""
    return any(
        isinstance(one, dict) and one.get("judge") == judge_id and one.get("version") == version for one in details
    )


def _rank(policy: CategoryPolicy) -> int:
    return _ORDER.index(policy.action)


def _notice(action: Action, *, answered: bool) -> str:
    return (REST_WITHHELD if answered else {}).get(action) or NOTICES[action]


def _verdict(judgement: Judgement) -> dict[str, Any]:
    judge = judgement.judge
    return {
        "judge": judge.id,
        "name": judge.name,
        "version": judge.version,
        "categories": [policy.category.value for policy in judgement.hits],
        "scores": {category.value: round(score, 3) for category, score in judgement.scores.items() if score >= 0.01},
    }


def _absence(judgement: Judgement) -> dict[str, Any]:
    judge = judgement.judge
    return {"away": judge.id, "name": judge.name, "version": judge.version, "why": judgement.away}
