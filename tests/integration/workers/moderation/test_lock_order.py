"""A worker that withholds a text and a reviewer who decides about it wait for each other, and neither is ended."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from django.db import transaction

from accounts.models import User
from chat.models import Message, ModerationCase, RunStatus
from chat.models.moderation import Action, CaseOrigin, CaseTarget, Category, Direction
from chat.moderation.cases import Finding, open_case
from chat.moderation.rewriting import rewrite_message
from chat.runs.context import ClaimedRun
from chat.runs.ending import Ending, end_run
from chat.runs.lifecycle import claim
from tests.fixtures.quota_rows import Elsewhere
from tests.fixtures.run_rows import say
from workers.generation.outcome import Withheld
from workers.generation.withheld import withdraw_after_end, withhold

pytestmark = pytest.mark.django_db(transaction=True)

TEXT = "The answer is Xylophone-4711, of course."
FOUND = Finding(CaseOrigin.JUDGE, Action.BLOCK, Category.OTHER, 3, "Not here.", ({"judge": "one"},))


@pytest.fixture
def run(alice: User, layer: None) -> ClaimedRun:
    """A run that has ended, and whose answer has an open case."""
    found = claim(say(alice, "Tell me").run_id, "w")
    assert found is not None
    claimed = found.run
    end_run(claimed.id, 1, RunStatus.DONE, Ending(TEXT))
    with transaction.atomic():
        open_case(
            CaseTarget.MESSAGE, claimed.message_id, FOUND, direction=Direction.ANSWERED, original=TEXT,
            person_id=alice.pk, conversation_id=claimed.conversation_id,
        )  # fmt: skip
    return claimed


def at_the_end(run: ClaimedRun) -> None:
    withdraw_after_end(run, FOUND, TEXT, 4)


def at_once(run: ClaimedRun) -> None:
    withhold(run, Withheld(FOUND, TEXT, TEXT[:4]))


@pytest.mark.parametrize("worker", [at_the_end, at_once])
def test_a_worker_waits_for_a_decision(run: ClaimedRun, worker: Callable[[ClaimedRun], None]) -> None:
    with transaction.atomic():
        case = ModerationCase.objects.select_for_update().get(target_id=run.message_id)  # as a decision begins
        withholding = Elsewhere(partial(worker, run))
        assert withholding.blocked()
        rewrite_message(run.message_id, "", {"action": "block", "reason": "", "case_id": str(case.pk)}, publish=False)
    withholding.join(60)
    assert not isinstance(withholding.outcome, Exception), withholding.outcome
    assert Message.objects.get(pk=run.message_id).text in ("", TEXT[:4])
