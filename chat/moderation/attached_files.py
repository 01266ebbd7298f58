"""What rules say of the text of an attached file before a model gets it, its case, and what reviewers decided. Sync.

The file itself stays with its owner; the model gets it without what is masked, or not at all. Whoever reviews the case
reads the file's name and the passages that were found. The same finding about a file opens one case, however many
answers get it: a later one only if a rule or judge has changed since, or another one finds something.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from django.db import transaction

from chat.models import File
from chat.models.moderation import (
    Action,
    CaseStatus,
    CaseTarget,
    DecisionKind,
    Direction,
    ModerationCase,
)
from chat.moderation.answers import rules_for_answer
from chat.moderation.cases import FILE_NOTICES, NOTICES, Finding, finding_of, open_case
from chat.moderation.matching.matcher import Action as Found
from chat.moderation.matching.matcher import Hit, action_of, masked
from chat.moderation.rules import RuleSet

AROUND: Final = 300  # characters before and after a hit that its case has
MOST_QUOTED: Final = 20_000  # characters of a file's text in its case
GAP: Final = "\n…\n"
TEXT_DECISIONS: Final = (DecisionKind.RELEASE, DecisionKind.MASK, DecisionKind.DELETE)

Key = tuple[str, int]  # the id of a rule or judge, and its version


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of a file: the rules and judges that have a case about it (`known`); of these, which a reviewer
    has overruled (`released`, `masked`); and the judges that withhold it meanwhile.
    """

    known: frozenset[Key] = frozenset()
    released: frozenset[Key] = frozenset()
    masked: frozenset[Key] = frozenset()
    withheld_by: frozenset[Key] = frozenset()


@dataclass(frozen=True, slots=True)
class ScreenedFile:
    """`text` is what the model may get; None: nothing. `finding` is what a case is to be opened for, with the
    `original` for it; None: nothing was found, or there is a case.
    """

    text: str | None
    finding: Finding | None = None
    original: str = ""


NOTHING_KNOWN: Final = Standing()


@dataclass(slots=True)
class _Sets:
    known: set[Key] = field(default_factory=set)
    released: set[Key] = field(default_factory=set)
    masked: set[Key] = field(default_factory=set)
    withheld_by: set[Key] = field(default_factory=set)


def read_standings(file_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, Standing]:
    """The standing of those of these files that have cases. Two queries."""
    cases = ModerationCase.objects.filter(target=CaseTarget.FILE, target_id__in=file_ids, direction=Direction.FILES)
    owners = File.objects.filter(pk__in=file_ids).values("owner")  # by the index of people's cases
    found: dict[uuid.UUID, _Sets] = {}
    for case in cases.filter(person__in=owners).order_by("opened_at").prefetch_related("decisions"):
        _add(found.setdefault(case.target_id, _Sets()), case)
    return {
        pk: Standing(
            frozenset(one.known), frozenset(one.released), frozenset(one.masked),
            frozenset(one.withheld_by - one.released),
        )
        for pk, one in found.items()
    }  # fmt: skip


def _add(sets: _Sets, case: ModerationCase) -> None:
    rules, judges = _keys(case.rules, "rule"), _keys(case.rules, "judge")
    kinds = [one.kind for one in case.decisions.all() if one.kind in TEXT_DECISIONS]
    decided = kinds[-1] if kinds and case.status == CaseStatus.DECIDED else None
    sets.known |= rules | judges
    if decided == DecisionKind.RELEASE:
        sets.released |= rules | judges
    elif decided == DecisionKind.MASK:
        sets.masked |= rules
    if judges and case.action in (Action.HOLD, Action.BLOCK):
        sets.withheld_by |= judges


def _keys(details: Sequence[Mapping[str, Any]], name: str) -> set[Key]:
    return {(str(one[name]), int(one.get("version", 0))) for one in details if one.get(name)}


def screen_file(
    name: str, text: str, user_id: uuid.UUID | None, model: str, standing: Standing = NOTHING_KNOWN
) -> ScreenedFile:
    """What the rules for files say of a file's text that `model` is to get for an answer to this user."""
    rules = rules_for_answer(user_id, model, Direction.FILES)
    if rules is None or not text:
        return ScreenedFile(text)
    hits = [hit for one in rules.matcher.find(text) if (hit := _as_decided(one, rules, standing)) is not None]
    if not hits:
        return ScreenedFile(text)
    action = action_of(hits) or Found.FLAG
    kept = None if action > Found.MASK else masked(text, [hit for hit in hits if hit.action is Found.MASK])
    new = [hit for hit in hits if _key(rules, hit) not in standing.known]
    if not new:
        return ScreenedFile(kept)
    original, moved = quote(name, text, new)
    finding = finding_of(rules.verdict(original, moved))
    assert finding is not None
    return ScreenedFile(kept, as_file_finding(finding), original)


def as_file_finding(finding: Finding) -> Finding:
    """The finding with the sentence about files, unless the rule or judge has one of its own."""
    if finding.notice in NOTICES.values():
        return replace(finding, notice=FILE_NOTICES[finding.action])
    return finding


def open_file_case(file_id: uuid.UUID, finding: Finding, original: str) -> ModerationCase | None:
    """Opens the case of an attached file; None: the file was deleted meanwhile. It is its owner's."""
    with transaction.atomic():
        file = File.objects.filter(pk=file_id).first()
        if file is None:
            return None
        is_open = ModerationCase.objects.exclude(status=CaseStatus.DECIDED).filter(target=CaseTarget.FILE)
        case = is_open.filter(target_id=file_id).select_for_update(of=("self",)).first()
        if case is not None and original not in case.original:  # other passages, with places of their own
            before = f"{case.original}\n\n" if case.original else ""
            finding = replace(finding, details=tuple(_moved(one, len(before)) for one in finding.details))
            ModerationCase.objects.filter(pk=case.pk).update(original=before + original)
        return open_case(
            CaseTarget.FILE, file_id, finding, direction=Direction.FILES, original=original, person_id=file.owner_id,
            conversation_id=file.conversation_id,
        )  # fmt: skip


def _moved(detail: Mapping[str, Any], by: int) -> dict[str, Any]:
    """A finding whose places are so many characters further on."""
    places = {"places": [[start + by, end + by] for start, end in detail["places"]]} if "places" in detail else {}
    return {**detail, **places}


def quote(name: str, text: str, hits: Sequence[Hit], most: int = MOST_QUOTED) -> tuple[str, list[Hit]]:
    """A file's name and the passages around hits, as its case has them, with the hits at their places there. Hits
    beyond `most` characters are left out, but for the first one.
    """
    quoted = name
    moved: list[Hit] = []
    end = 0  # of what is quoted of the text
    for hit in sorted(hits):
        start = max(hit.start - AROUND, end)
        stop = max(min(hit.end + AROUND, len(text)), end)
        if moved and len(quoted) + stop - start > most:
            break
        if stop > start:
            gap = GAP if start > end else ""
            quoted += (gap if moved else "\n\n" + gap.lstrip()) + text[start:stop]
            end = stop
        shift = len(quoted) - end
        moved.append(replace(hit, start=hit.start + shift, end=min(hit.end, end) + shift))
    return quoted, moved


def _key(rules: RuleSet, hit: Hit) -> Key:
    rule = rules.known[hit.rule]
    return rule.id, rule.version


def _as_decided(hit: Hit, rules: RuleSet, standing: Standing) -> Hit | None:
    """A hit as a reviewer's decision about the file leaves it; None: not at all."""
    key = _key(rules, hit)
    if key in standing.released:
        return None
    return replace(hit, action=Found.MASK) if key in standing.masked and hit.action > Found.MASK else hit
