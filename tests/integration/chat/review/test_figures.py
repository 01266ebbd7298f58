"""Figures for staff, the trial of a rule, and the rules that ship."""

from __future__ import annotations

import io
import json
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from accounts.models import AuditEntry, User
from chat.models import Message, ModerationCase, ModerationRule
from chat.models.moderation import DecisionKind
from chat.moderation.judging import note_unjudged
from chat.moderation.portable import import_starter_rules
from chat.moderation.rules import Audience, compile_rules
from chat.review import decisions, dry_run
from chat.review.decisions import Outcome
from chat.review.figures import read_figures
from tests.fixtures.cases import make_case, make_moderator
from tests.fixtures.conversation_rows import make_conversation
from tests.fixtures.people import logged_in, staff_client

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clean_redis")]


def badgers(**fields: object) -> ModerationRule:
    made = {"name": "Badgers", "directions": ["asked"], "words": "badger", "action": "mask"} | fields
    return ModerationRule.objects.create(**made)


def found_by(rule: ModerationRule) -> list[dict[str, object]]:
    return [{"rule": str(rule.pk), "name": rule.name, "version": 1, "places": [[3, 9]]}]


def test_figures(alice: User, bob: User) -> None:
    mo, nora, rule, now = make_moderator(), make_moderator("Nora"), badgers(), timezone.now()
    alice.groups.add(Group.objects.create(name="Pupils"))
    right, wrong = make_case(alice, rules=found_by(rule)), make_case(bob, rules=found_by(rule), category="spam")
    for case, kind in ((right, DecisionKind.DELETE), (wrong, DecisionKind.RELEASE)):
        decisions.claim(mo, case.pk)
        decisions.decide(mo, case.pk, Outcome(kind))
    make_case(alice, opened_at=now - timedelta(hours=3), rules=found_by(rule))
    make_case(alice, opened_at=now - timedelta(hours=1), status="claimed", claimed_by=nora,
              claimed_at=now - timedelta(minutes=40))  # fmt: skip
    make_case(None, opened_at=now - timedelta(days=60))
    ModerationCase.objects.filter(opened_at__lt=now - timedelta(days=50)).update(status="decided", decided_at=now)
    found = read_figures(30)
    assert found.waiting is not None
    assert (found.waiting.count, found.waiting.appealed, found.waiting.stale) == (2, 0, 1)
    assert found.waiting.median is not None
    assert 3600 < found.waiting.median < 3 * 3600
    assert found.waiting.oldest == now - timedelta(hours=3)
    assert ("Badgers", 4, 2, 1) in found.rules  # type: ignore[operator]
    assert dict(found.categories or ()) == {"other": 3, "spam": 1}
    assert dict(found.groups or ()) == {"Pupils": 3, "": 1}
    assert sum(count for _, _, count in found.days or ()) == 4
    rows = {row[0]: (row[1], row[3], row[4]) for row in found.reviewers or ()}
    assert rows == {mo.email: (2, 0, 0), nora.email: (0, 1, 1)}
    html = logged_in(mo).get("/admin/moderation/?days=7").content.decode()
    assert "50\u202f%" in html
    assert "Pupils" in html


def test_figures_of_nothing() -> None:
    html = staff_client("view_moderationcase").get("/admin/moderation/").content.decode()
    assert "Nothing in this period." in html


def test_a_rule_is_tried_on_messages_of_its_audience(alice: User, bob: User) -> None:
    pupils = Group.objects.create(name="Pupils")
    alice.groups.add(pupils)
    for user in (alice, bob):
        make_conversation(user, 4)
    Message.objects.filter(role="user").update(text=f"{'x ' * 200}a badger and a badger{' y' * 200}")
    rule = badgers(enabled=False)
    assert (dry_run.try_rule(rule).read, dry_run.try_rule(rule).with_hits) == (4, 4)
    rule.groups.add(pupils)
    result = dry_run.try_rule(rule)
    assert (result.read, result.with_hits, result.found[0].hits, result.complete) == (2, 2, 2, True)
    assert [piece.text for piece in result.found[0].pieces if piece.marked] == ["badger", "badger"]
    assert sum(len(piece.text) for piece in result.found[0].pieces) < 200
    answered = badgers(name="Answers", directions=["answered"], only_models=["m"])
    assert dry_run.try_rule(answered).read == 0
    with pytest.raises(ValueError, match="can be tried"):
        dry_run.try_rule(badgers(name="Names", directions=["named"]))


def test_a_trial_is_bounded(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    make_conversation(alice, 8)
    monkeypatch.setattr(dry_run, "MESSAGES", 3)
    assert dry_run.try_rule(badgers()).read == 3
    monkeypatch.setattr(dry_run, "SECONDS", -1.0)
    monkeypatch.setattr(dry_run, "statement_timeout", lambda _seconds: Nothing())
    assert not dry_run.try_rule(badgers(name="Other")).complete


class Nothing:
    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


def test_precision_comes_from_decided_cases(alice: User) -> None:
    mo, nora, rule = make_moderator(), make_moderator("Nora"), badgers()
    cases = [make_case(alice, rules=found_by(rule)) for _ in range(4)]
    for case, kind in zip(cases, (DecisionKind.DELETE, DecisionKind.DELETE, DecisionKind.RELEASE), strict=False):
        decisions.claim(mo, case.pk)
        decisions.decide(mo, case.pk, Outcome(kind))
    assert dry_run.precision(rule) == (3, 2)
    decisions.appeal(alice, cases[0].pk, "Wrong")
    decisions.claim(nora, cases[0].pk)
    decisions.hear_appeal(nora, cases[0].pk, Outcome(DecisionKind.RELEASE))
    assert dry_run.precision(rule) == (3, 1)


def test_the_trial_in_the_admin_is_recorded_and_needs_a_permission(alice: User) -> None:
    make_conversation(alice, 2)
    Message.objects.filter(role="user").update(text="one badger")
    rule = badgers()
    path = f"/admin/chat/moderationrule/{rule.pk}/try/"
    assert staff_client("view_moderationrule").post(path).status_code == 403
    client: Client = logged_in(make_moderator())
    assert "Try on the last 1,000 messages" in client.get(
        f"/admin/chat/moderationrule/{rule.pk}/change/"
    ).content.decode()  # fmt: skip
    assert "<mark>badger</mark>" in client.post(path).content.decode()
    assert AuditEntry.objects.filter(verb="try_rule", object_id=str(rule.pk)).count() == 1


def test_the_starter_set_ships_switched_off() -> None:
    assert import_starter_rules() == (3, 0)
    rules = list(ModerationRule.objects.all())
    assert not any(rule.enabled for rule in rules)
    assert all(rule.source for rule in rules)
    screened = compile_rules(rules).screen("Mail ana@example.org", Audience())
    assert [rule.name for rule in screened.rules] == ["Personal data"]
    ModerationRule.objects.filter(name="Personal data").update(enabled=True, action="block")
    assert import_starter_rules() == (0, 3)
    assert ModerationRule.objects.get(name="Personal data").action == "block"
    call_command("moderation", "rules", "import", "--starter")
    root = staff_client(superuser=True)
    ModerationRule.objects.all().delete()
    assert "3 rules were added" in root.post("/admin/chat/moderationrule/starter/", follow=True).content.decode()


def test_texts_that_wait_for_a_judge_are_in_the_figures(alice: User) -> None:
    message = Message.objects.create(conversation=make_conversation(alice), role="user", author=alice, text="Hello")
    staff = staff_client("view_moderationcase")
    assert "wait for a judge" not in staff.get("/admin/moderation/").content.decode()
    note_unjudged(message.pk)
    assert "Texts waiting for a judge" in staff.get("/admin/moderation/").content.decode()
    out = io.StringIO()
    call_command("moderation", "judge-again", stdout=out)
    assert out.getvalue() == "1 text waits for a judge. The workers ask it within seconds.\n"
    out = io.StringIO()
    call_command("moderation", "stats", "--json", stdout=out)
    assert json.loads(out.getvalue())["unjudged"] == 1
