"""A worker that withholds a text and a reviewer who decides about it wait for each other, and neither is ended."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from django.db import transaction

from accounts.models import User
from chat.models import Message, ModerationCase, Run, RunStatus
from chat.models.moderation import Action, CaseOrigin, CaseTarget, Category, Direction
from chat.moderation import rewriting
from chat.moderation.cases import Finding, open_case
from chat.moderation.judging import apply_finding, take_unjudged
from chat.moderation.rewriting import rewrite_message
from chat.runs.claims import claim
from chat.runs.context import ClaimedRun
from chat.runs.ending import Ending, end_run
from chat.runs.unread import judge_later
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


def judged_later(run: ClaimedRun) -> None:
    [shown] = [one for one in take_unjudged(2) if one.message_id == run.message_id]
    assert apply_finding(shown, FOUND)


@pytest.mark.parametrize("worker", [at_the_end, at_once, judged_later])
def test_a_message_below_does_not_wait_for_it(
    run: ClaimedRun, alice: User, monkeypatch: pytest.MonkeyPatch, worker: Callable[[ClaimedRun], None]
) -> None:
    """It has changed the conversation, and refers to the answer whose row the worker has locked. The worker then
    changes the conversation, because of its title.
    """
    sent: list[Elsewhere] = []
    replace = rewriting._replace_title

    def send_first(message: Message, text: str) -> None:
        if not sent:
            sent.append(Elsewhere(partial(say, alice, "And now?", run.conversation_id)))
            assert not sent[0].blocked()
        replace(message, text)

    monkeypatch.setattr(rewriting, "_replace_title", send_first)
    judge_later(run.message_id)
    worker(run)
    [sending] = sent
    sending.join(60)
    assert not isinstance(sending.outcome, Exception), sending.outcome
    assert Message.objects.get(pk=run.message_id).text in ("", TEXT[:4])


def test_a_late_verdict_waits_for_the_end_of_an_answer(alice: User, layer: None) -> None:
    """The end withholds the question as well, which it locks after the run."""
    accepted = say(alice, TEXT)
    assert claim(accepted.run_id, "w") is not None
    judge_later(accepted.message_id)
    [shown] = take_unjudged(1)
    with transaction.atomic():
        Run.objects.select_for_update().get(pk=accepted.run_id)
        verdict = Elsewhere(partial(apply_finding, shown, FOUND))
        assert verdict.blocked()
        end_run(accepted.run_id, 1, RunStatus.STOPPED, Ending(""))
        rewrite_message(accepted.message_id, "", {"action": "block", "reason": "", "case_id": ""}, publish=False)
    verdict.join(60)
    assert verdict.outcome is False, "the text is gone"
