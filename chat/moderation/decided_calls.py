"""Screens what people write for calls of tools, by the rules for what people write: arguments that they edit,
answers to questions, and why they deny a call. Sync.

What is masked is stored masked. What a rule holds or blocks is refused, and the call waits on. The cases are those of
refused messages: what they are about was never stored, so a decision changes nothing about it.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from django.db import transaction

from accounts.lib.texts import gettext_noop
from chat.models import ToolCall
from chat.models.moderation import Action, CaseTarget, Direction, ModerationCase
from chat.moderation.cases import NOTICES, Finding, finding_of, open_case
from chat.moderation.rules import RuleSet, Verdict, audience_of, rules_in_force
from chat.moderation.structured import Find, search_json, search_value
from chat.protocol.errors import Moderated

MASKED: Final = gettext_noop("Parts of what you entered for a tool were replaced because of this site's rules.")


class CallRefusal(Exception):
    """What a person wrote for a call must not be sent. Raised within a transaction; `refuse_decision` follows it."""

    def __init__(self, finding: Finding, original: str, target_id: uuid.UUID) -> None:
        super().__init__(finding.notice)
        self.finding = finding
        self.original = original
        self.target_id = target_id


def screen_edited(text: str, call: ToolCall, user_id: uuid.UUID) -> str:
    """Edited arguments (JSON) as they may be stored. Opens their case. Raises `CallRefusal`."""
    rules = rules_in_force(Direction.ASKED)
    if not text or not rules.known:
        return text
    searched = search_json(_find(rules, call, user_id), text)
    _record(rules.verdict(searched.original, searched.hits), call, user_id)
    return searched.masked


def screen_answer(answer: Mapping[str, Any], call: ToolCall, user_id: uuid.UUID) -> dict[str, Any]:
    """The answer to a question as it may be stored. Opens its case. Raises `CallRefusal`."""
    rules = rules_in_force(Direction.ASKED)
    if not rules.known:
        return dict(answer)
    find = _find(rules, call, user_id)
    shown, hits = search_value(find, dict(answer))
    original = "\n".join(f"{name}: {value}" for name, value in answer.items())
    found = {hit.rule for hit in hits}
    places = [hit for hit in find(original) if hit.rule in found]
    unplaced = [replace(hit, start=0, end=0) for hit in hits if hit.rule not in {one.rule for one in places}]
    _record(rules.verdict(original, (*places, *unplaced)), call, user_id)
    return {name: shown.get(name, value) for name, value in answer.items()}


def screen_reason(text: str, call: ToolCall, user_id: uuid.UUID) -> str:
    """Why a person denies a call, as it may be stored. Opens its case. Raises `CallRefusal`."""
    rules = rules_in_force(Direction.ASKED)
    if not text or not rules.known:
        return text
    verdict = rules.verdict(text, _find(rules, call, user_id)(text))
    _record(verdict, call, user_id)
    return verdict.masked


def refuse_decision(refusal: CallRefusal, user_id: uuid.UUID, conversation_id: uuid.UUID) -> Moderated:
    """Opens the case of what was refused, in a transaction of its own; the error that says so. The same text again
    finds the same case, also after it was decided.
    """
    with transaction.atomic():
        known = ModerationCase.objects.filter(target=CaseTarget.REFUSED, target_id=refusal.target_id)
        case = known.order_by("opened_at").first() or open_case(
            CaseTarget.REFUSED, refusal.target_id, refusal.finding, direction=Direction.ASKED,
            original=refusal.original, person_id=user_id, conversation_id=conversation_id,
        )  # fmt: skip
    return Moderated(case.notice, case_id=case.pk)


def _find(rules: RuleSet, call: ToolCall, user_id: uuid.UUID) -> Find:
    audience = audience_of(rules, user_id, call.run.model)
    return lambda text: [hit for hit in rules.matcher.find(text) if rules.known[hit.rule].meant_for(audience)]


def _record(verdict: Verdict, call: ToolCall, user_id: uuid.UUID) -> None:
    if (finding := finding_of(verdict)) is None:
        return
    target_id = uuid.uuid5(call.pk, f"{user_id} {verdict.text}")
    if finding.action in (Action.HOLD, Action.BLOCK):
        notice = finding.notice if finding.is_worded else NOTICES[Action.BLOCK]
        raise CallRefusal(replace(finding, action=Action.BLOCK, notice=notice), verdict.text, target_id)
    if finding.action == Action.MASK and not finding.is_worded:
        finding = replace(finding, notice=MASKED)
    with transaction.atomic():
        open_case(
            CaseTarget.REFUSED, target_id, finding, direction=Direction.ASKED, original=verdict.text,
            person_id=user_id, conversation_id=call.run.conversation_id,
        )  # fmt: skip
