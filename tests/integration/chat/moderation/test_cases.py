"""Cases: one is open for each target, and further findings join it."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.contrib.auth.models import Group

from accounts.models import Plan
from chat.models import ModerationCase, ModerationRule
from chat.models.moderation import CaseTarget, Direction
from chat.moderation.cases import NOTICES, Finding, finding_of, open_case, shown_moderation
from chat.moderation.rules import Audience, audience_of, clear_rules_cache, compile_rules, rules_in_force
from tests.conftest import make_user

pytestmark = pytest.mark.django_db

TEXT = "Meet the badger, call 911"


def rule(name: str, action: str, words: str, **more: object) -> ModerationRule:
    return ModerationRule(name=name, action=action, directions=["asked"], words=words, **more)


def finding(*rules: ModerationRule) -> Finding:
    found = finding_of(compile_rules(rules).screen(TEXT, Audience()))
    assert found is not None
    return found


def opened(target: uuid.UUID, found: Finding, original: str = TEXT) -> ModerationCase:
    return open_case(
        CaseTarget.MESSAGE, target, found, direction=Direction.ASKED, original=original, person_id=None
    )  # fmt: skip


def test_the_most_severe_action_and_rule_hold() -> None:
    found = finding(rule("a", "mask", "badger", severity=1), rule("b", "hold", "call", severity=3, category="spam"))
    assert (found.action, found.category, found.severity) == ("hold", "spam", 3)
    assert found.notice == NOTICES[found.action]
    assert [(entry["name"], entry["places"]) for entry in found.details] == [("a", [[9, 15]]), ("b", [[17, 21]])]


def test_nothing_found() -> None:
    assert finding_of(compile_rules([rule("a", "mask", "fox")]).screen(TEXT, Audience())) is None


def test_a_further_finding_joins_the_open_case_and_keeps_the_first_original() -> None:
    target = uuid.uuid4()
    first = opened(target, finding(rule("a", "mask", "badger", severity=3, category="hate")))
    again = opened(target, finding(rule("b", "block", "call", severity=1)), "Meet the ***")
    assert first.pk == again.pk
    kept = ModerationCase.objects.get()
    assert (kept.action, kept.severity, kept.category, kept.original) == ("block", 3, "hate", TEXT)
    assert [entry["name"] for entry in kept.rules] == ["a", "b"]
    opened(target, finding(rule("c", "flag", "meet")))
    kept.refresh_from_db()
    assert kept.action == "block"


def test_a_decided_case_is_not_opened_again() -> None:
    target = uuid.uuid4()
    first = opened(target, finding(rule("a", "mask", "badger")))
    ModerationCase.objects.update(status="decided")
    assert opened(target, finding(rule("a", "mask", "badger"))).pk != first.pk


def test_what_readers_see_of_it() -> None:
    case = opened(uuid.uuid4(), finding(rule("a", "block", "badger", notice="No badgers.")))
    assert shown_moderation(case) == {"action": "block", "reason": "No badgers.", "case_id": str(case.pk)}
    assert shown_moderation(opened(uuid.uuid4(), finding(rule("a", "flag", "badger")))) == {}


def test_the_audience_has_its_groups_and_the_plan_that_applies() -> None:
    user = make_user("ada")
    group = Group.objects.create(name="pupils")
    user.groups.add(group)
    ModerationRule.objects.create(name="r", enabled=True, directions=["asked"], words="x").groups.add(group)
    clear_rules_cache()
    default = Plan.objects.get(is_default=True)
    assert audience_of(rules_in_force(Direction.ASKED), user.pk, "m") == Audience(
        frozenset({group.pk}), default.pk, "m"
    )  # fmt: skip


def test_nothing_is_read_where_rules_are_for_everyone(django_assert_num_queries: Any) -> None:
    rules = compile_rules([rule("a", "mask", "badger")])
    with django_assert_num_queries(0):
        assert audience_of(rules, uuid.uuid4(), "m") == Audience(model="m")
