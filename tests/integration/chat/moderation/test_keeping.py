"""How long cases are kept, what an erasure leaves of them, claims that are given back, and the figures."""

from __future__ import annotations

import io
import json
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts.models import Plan, User
from chat.models import ModerationCase, ModerationDecision, ModerationReport
from chat.models.moderation import CaseStatus
from chat.moderation.claims import requeue_stale
from chat.moderation.stats import queue_figures
from chat.retention import purge
from chat.retention.erasure import erase
from chat.telemetry import metrics
from config.web import metrics as served

pytestmark = pytest.mark.usefixtures("clean_redis", "db")

SECRET = "canary 31d2"


def case(person: User | None, **fields: Any) -> ModerationCase:
    given = {
        "target": "message", "target_id": uuid.uuid4(), "person": person, "direction": "asked", "origin": "rule",
        "action": "block", "original": SECRET,
    }  # fmt: skip
    return ModerationCase.objects.create(**(given | fields))


def decided(person: User | None, days: float, **fields: Any) -> ModerationCase:
    made = case(person, status=CaseStatus.DECIDED, decided_at=timezone.now() - timedelta(days=days), **fields)
    ModerationDecision.objects.create(case=made, kind="release")
    return made


def left() -> set[uuid.UUID]:
    list(purge.purge())
    return set(ModerationCase.objects.values_list("pk", flat=True))


def test_decided_cases_are_kept_as_long_as_the_plan_says(alice: User, bob: User) -> None:
    Plan.objects.update_or_create(is_default=True, defaults={"case_days": 30}, create_defaults={"name": "Default"})
    Plan.objects.filter(is_default=True).update(case_days=30)
    alice.plan = Plan.objects.create(name="Long", case_days=100)
    alice.save()
    kept = [
        decided(alice, 99),
        decided(bob, 29),
        decided(None, 29),
        case(bob, opened_at=timezone.now() - timedelta(900)),
    ]
    for days, person in ((101, alice), (31, bob), (31, None)):
        decided(person, days)
    assert purge.count()["cases"] == 3
    assert left() == {one.pk for one in kept}
    assert ModerationDecision.objects.count() == 3


def test_a_new_plan_keeps_cases_for_a_year(bob: User) -> None:
    assert Plan(name="P").case_days == 365
    old, new = decided(bob, 366), decided(bob, 364)
    assert old.pk not in (found := left())
    assert new.pk in found


def test_an_erasure_empties_the_texts_and_keeps_the_facts(alice: User, bob: User) -> None:
    about = case(alice, status=CaseStatus.APPEALED, appeal=SECRET)
    other = case(bob, target_id=uuid.uuid4())
    ModerationReport.objects.create(case=about, reporter=bob, reason="spam", note=SECRET)
    ModerationReport.objects.create(case=other, reporter=alice, reason="spam", note=SECRET)
    erase(alice)
    about.refresh_from_db()
    assert (about.original, about.appeal, about.person_id) == ("", "", None)
    assert (about.action, about.status, about.category) == ("block", "appealed", "other")
    assert list(ModerationReport.objects.values_list("note", "reason")) == [("", "spam")] * 2
    other.refresh_from_db()
    assert other.original == SECRET, "that is somebody else's"


def test_claims_that_were_left_go_back_to_the_queue(alice: User, bob: User) -> None:
    long_ago = timezone.now() - timedelta(hours=30)
    stale = case(bob, status=CaseStatus.CLAIMED, claimed_by=alice, claimed_at=long_ago)
    appealed = case(bob, status=CaseStatus.CLAIMED, claimed_by=alice, claimed_at=long_ago, appealed_at=long_ago)
    fresh = case(bob, status=CaseStatus.CLAIMED, claimed_by=alice, claimed_at=timezone.now())
    assert command("requeue", "--dry-run") == {"requeued": 0, "found": 2}
    assert command("requeue") == {"requeued": 2, "found": 2}
    assert requeue_stale(24) == 0
    states = {one.pk: (one.status, one.claimed_by_id) for one in ModerationCase.objects.all()}
    assert states == {stale.pk: ("open", None), appealed.pk: ("appealed", None), fresh.pk: ("claimed", alice.pk)}


def command(*words: str) -> Any:
    out = io.StringIO()
    call_command("moderation", *words, "--json", stdout=out)
    return json.loads(out.getvalue())


def test_figures(alice: User) -> None:
    assert queue_figures().oldest_seconds == 0
    case(alice, opened_at=timezone.now() - timedelta(hours=2))
    case(alice, category="hate", origin="judge", opened_at=timezone.now() - timedelta(days=10))
    decided(alice, 1, action="flag")
    figures = command("stats")
    assert (figures["open"], figures["cases"], figures["decisions"]) == (2, 2, {"release": 1})
    assert figures["by_action"] == {"block": 1, "flag": 1}
    assert 10 * 86400 <= figures["oldest_seconds"] < 11 * 86400
    assert command("stats", "--days", "30")["by_origin"] == {"rule": 2, "judge": 1}
    out = io.StringIO()
    call_command("moderation", "stats", stdout=out)
    assert "2 not decided, the oldest for 240.0 h (open 2)" in out.getvalue()
    for words in (("stats", "--days", "0"), ("requeue", "--hours", "-1"), ("requeue", "--hours", "nan")):
        with pytest.raises(CommandError):
            call_command("moderation", *words)


def test_a_scrape_has_the_queue(alice: User) -> None:
    case(alice, opened_at=timezone.now() - timedelta(hours=2))
    served.read_case_gauges()
    assert metrics.shared["cases_open"] == 1
    age = metrics.shared["oldest_case_seconds"]
    assert isinstance(age, int | float)
    assert 7200 <= age < 8000
