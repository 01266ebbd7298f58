"""Opens cases, in the caller's transaction, so that a text is withheld and its case is there, or neither."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from accounts.lib.texts import gettext_noop
from chat.models.moderation import Action, CaseOrigin, CaseStatus, CaseTarget, Category, Direction, ModerationCase
from chat.moderation.rules import Verdict
from chat.telemetry import metrics

MOST_FINDINGS: Final = 100  # that a case keeps; more say nothing new to a reviewer
_ORDER: Final = {action: number for number, action in enumerate((Action.FLAG, Action.MASK, Action.HOLD, Action.BLOCK))}
NOTICES: Final = {
    Action.FLAG: "",
    Action.MASK: gettext_noop("Parts of this text were replaced because of this site's rules."),
    Action.HOLD: gettext_noop("This waits for a reviewer before anybody else can read it."),
    Action.BLOCK: gettext_noop("This was refused because of this site's rules."),
}
ANSWER_STOPPED: Final = gettext_noop("This answer was stopped by this site's rules.")
ANSWER_MASKED: Final = gettext_noop("Parts of this answer were replaced because of this site's rules.")
REST_WITHHELD: Final = {
    Action.HOLD: gettext_noop("The rest of this answer waits for a reviewer before anybody can read it."),
    Action.BLOCK: gettext_noop("The rest of this answer was withheld because of this site's rules."),
}
FILE_NOTICES: Final = {
    Action.FLAG: "",
    Action.MASK: gettext_noop("Parts of this file were replaced for the model because of this site's rules."),
    Action.HOLD: gettext_noop("The model does not get this file before a reviewer has decided about it."),
    Action.BLOCK: gettext_noop("The model did not get this file because of this site's rules."),
}
GENERAL: Final = frozenset(
    {*NOTICES.values(), ANSWER_STOPPED, ANSWER_MASKED, *REST_WITHHELD.values(), *FILE_NOTICES.values()}
)
"""Notices that only say what happened at once, and not what was wrong with the text."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What rules, a judge or a person say about a text, and what happened to it at once.

    `details` are JSON objects: a rule has its id, name, version and the places of its hits; a judge has its name and
    scores.
    """

    origin: CaseOrigin
    action: Action
    category: Category
    severity: int
    notice: str
    details: tuple[dict[str, Any], ...]

    @property
    def is_worded(self) -> bool:
        """Whether the notice is a rule's own, not the general one about the action."""
        return self.notice != NOTICES[self.action]


def finding_of(verdict: Verdict) -> Finding | None:
    """What rules found; None: nothing."""
    if verdict.action is None:
        return None
    for rule in verdict.rules:
        metrics.count_verdict("rules", rule.name, rule.category, verdict.action.name.lower())
    worst = max(verdict.rules, key=lambda rule: rule.severity)
    action = Action[verdict.action.name]
    return Finding(
        CaseOrigin.RULE,
        action,
        Category(worst.category),
        worst.severity,
        verdict.notice or NOTICES[action],
        tuple(_details(verdict)),
    )


def _details(verdict: Verdict) -> Iterable[dict[str, Any]]:
    by_id = {rule.id: rule for rule in verdict.rules}
    places: dict[str, list[list[int]]] = {rule_id: [] for rule_id in by_id}
    for rule, hit in verdict.found:
        places[rule.id].append([hit.start, hit.end])
    for rule_id, rule in by_id.items():
        yield {
            "rule": rule_id,
            "name": rule.name,
            "version": rule.version,
            "category": rule.category,
            "places": places[rule_id][:MOST_FINDINGS],
        }


def lock_message_cases(*message_ids: uuid.UUID) -> None:
    """Locks the open cases of messages until the end of the caller's transaction.

    Whoever withholds a text calls this before they lock its run or message: reviewers lock in this order too.
    """
    found = ModerationCase.objects.exclude(status=CaseStatus.DECIDED).filter(target=CaseTarget.MESSAGE)
    list(found.filter(target_id__in=message_ids).order_by("pk").select_for_update(of=("self",)).values_list("pk"))


def open_case(
    target: CaseTarget,
    target_id: uuid.UUID,
    finding: Finding,
    *,
    direction: Direction,
    original: str,
    original_reasoning: str = "",
    person_id: uuid.UUID | None,
    conversation_id: uuid.UUID | None = None,
) -> ModerationCase:
    """The open case of `target_id`, made if there is none.

    A further finding about the same target joins its case: the severer action and severity hold, and a reviewer who
    has claimed it sees it. The first original text is kept, since later ones may have been masked.
    """
    case, created = (
        ModerationCase.objects.exclude(status=CaseStatus.DECIDED)
        .select_for_update(of=("self",))
        .get_or_create(
            target=target,
            target_id=target_id,
            defaults={
                "direction": direction,
                "origin": finding.origin,
                "action": finding.action,
                "category": finding.category,
                "severity": finding.severity,
                "rules": list(finding.details[:MOST_FINDINGS]),
                "original": original,
                "original_reasoning": original_reasoning,
                "notice": finding.notice,
                "person_id": person_id,
                "conversation_id": conversation_id,
            },
        )
    )
    if not created:
        _join(case, finding, original)
    return case


def _join(case: ModerationCase, finding: Finding, original: str) -> None:
    if _ORDER[finding.action] > _ORDER[Action(case.action)]:
        case.action, case.notice = finding.action, finding.notice
    if finding.severity > case.severity:
        case.severity, case.category = finding.severity, finding.category
    known = [old for old in case.rules if not any(_has_more(new, old) for new in finding.details)]
    known += [entry for entry in finding.details if entry not in known]
    case.rules, case.original = known[:MOST_FINDINGS], case.original or original
    case.save(update_fields=["action", "notice", "severity", "category", "rules", "original"])


def _has_more(new: dict[str, Any], old: Any) -> bool:
    """Whether a rule's finding has all that an earlier one of the same rule in the same text has."""
    if not isinstance(old, dict) or "places" not in old or "places" not in new:
        return False
    same = all(new.get(name) == old.get(name) for name in ("rule", "version", "in"))
    return same and all(place in new["places"] for place in old["places"])


def shown_moderation(case: ModerationCase) -> dict[str, str]:
    """What `Message.moderation` holds and a message's `moderation` field shows to its readers; {} if only flagged."""
    if case.action == Action.FLAG:
        return {}
    return {"action": case.action, "reason": case.notice, "case_id": str(case.pk)}
