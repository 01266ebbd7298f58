"""What a plan says besides its quotas: whom it holds, what it refuses to be, and what becomes of unwatched answers."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from accounts.models import Plan, User
from accounts.models.fields import LONGEST_DAYS
from accounts.quotas.plans import plan_field
from chat.catalog import offered_models
from chat.models import Run
from tests.fixtures.run_rows import say
from workers.runtime.unwatched import runs_to_stop


@pytest.fixture(autouse=True)
def _one_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offered_models, "offered_models", lambda: [{"id": "small", "label": "small"}])


def on_plan(user: User, **fields: Any) -> Plan:
    user.plan = Plan.objects.create(name=f"Plan of {user.name}", **fields)
    user.save()
    return user.plan


def the_default(**fields: Any) -> None:
    """Also where a test before emptied the tables, and with them took the plan that a migration made."""
    Plan.objects.update_or_create(is_default=True, defaults=fields, create_defaults={"name": "Default", **fields})


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("setting", "default", "own", "stops"),
    [
        ("continue", "", None, False),
        ("stop", "", None, True),
        ("continue", "stop", None, True),
        ("stop", "continue", None, False),
        ("continue", "continue", "stop", True),
        ("stop", "stop", "continue", False),
        ("stop", "continue", "", True),  # a plan of one's own that says nothing: the setting, not the default plan
        ("continue", "stop", "", False),
    ],
)
def test_whether_an_unwatched_answer_goes_on_is_said_by_the_askers_plan(
    alice: User, settings: Any, setting: str, default: str, own: str | None, stops: bool
) -> None:
    settings.UNWATCHED_RUNS = setting
    the_default(unwatched_runs=default)
    if own is not None:
        on_plan(alice, unwatched_runs=own)
    run = say(alice).run_id
    assert runs_to_stop([run]) == ({run} if stops else set())


@pytest.mark.django_db
@pytest.mark.parametrize(("setting", "stops"), [("continue", False), ("stop", True)])
def test_without_a_plan_or_an_asker_the_setting_holds(alice: User, settings: Any, setting: str, stops: bool) -> None:
    settings.UNWATCHED_RUNS = setting
    Plan.objects.update(is_default=False)
    run, orphan = say(alice).run_id, say(alice).run_id
    Run.objects.filter(pk=orphan).update(requested_by=None)
    assert runs_to_stop([run, orphan, uuid.uuid4()]) == ({run, orphan} if stops else set())


@pytest.mark.django_db
def test_the_plan_in_force_is_ones_own_also_where_it_says_nothing(alice: User, bob: User) -> None:
    the_default(retention_days=90)
    on_plan(alice, retention_days=None)
    said = dict(User.objects.annotate(days=plan_field("retention_days")).values_list("pk", "days"))
    assert said == {alice.pk: None, bob.pk: 90}


@pytest.mark.django_db
@pytest.mark.parametrize(
    "fields",
    [
        {"retention_days": 0},
        {"retention_days": LONGEST_DAYS + 1},
        {"trash_days": -1},
        {"temporary_hours": 0},
        {"case_days": 0},
        {"case_days": LONGEST_DAYS + 1},
        {"audio_days": -1},
        {"audio_days": LONGEST_DAYS + 1},
        {"unwatched_runs": "perhaps"},
    ],
)
def test_absurd_plans_are_refused_by_form_and_database(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Plan(name="Absurd", **fields).full_clean()
    with pytest.raises(IntegrityError), transaction.atomic():
        Plan.objects.create(name="Absurd", **fields)
