"""`manage.py repair` on rows made wrong on purpose."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.utils import timezone

from accounts.models import Allowance, Quota, Reservation, User
from chat.models import Conversation, Member, Message, Run
from chat.recovery.repair import repair

pytestmark = pytest.mark.django_db(transaction=True)
LONG_AGO = timezone.now() - timedelta(hours=1)


@pytest.fixture
def turn(alice: User, clean_redis: str) -> Run:
    """A conversation with one answered question, as it should be."""
    conversation = Conversation.objects.create(title="t")
    Member.objects.create(conversation=conversation, user=alice, role="owner")
    prompt = Message.objects.create(conversation=conversation, role="user", author=alice, text="?", created_at=LONG_AGO)
    answer = Message.objects.create(conversation=conversation, parent=prompt, role="assistant", text="!")
    Conversation.objects.filter(pk=conversation.pk).update(tip=answer)
    return Run.objects.create(
        conversation=conversation, prompt=prompt, message=answer, requested_by=alice, model="m", status="done",
        attempt=1, finished_at=LONG_AGO, ended_in_log=True, enqueued_at=LONG_AGO,
    )  # fmt: skip


def change(run: Run, **fields: Any) -> None:
    Run.objects.filter(pk=run.pk).update(**fields)


def one_fault(words: str) -> None:
    """A dry run tells of exactly this and changes nothing; then it is mended."""
    for _ in range(2):
        [said] = repair(dry_run=True)
        assert words in said
    [said] = repair()
    assert words in said
    assert repair() == []


def test_nothing_is_wrong(turn: Run) -> None:
    output = StringIO()
    call_command("repair", stdout=output)
    assert output.getvalue() == "Nothing is wrong.\n"


def test_the_command_says_what_it_did(turn: Run) -> None:
    Conversation.objects.update(tip=None)
    output = StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("repair", "--dry-run", stdout=output)
    assert ended.value.code == 1, "for a watchdog"
    call_command("repair", stdout=output)
    lines = output.getvalue().splitlines()
    assert lines[1] == "Nothing was changed."
    assert lines[3] == "Everything has been repaired."
    assert str(turn.conversation_id) in lines[0] == lines[2]


def test_a_run_whose_worker_is_gone(turn: Run) -> None:
    change(turn, status="running", finished_at=None, lease_expires_at=LONG_AGO, lease_owner="x", ended_in_log=False)
    Message.objects.filter(pk=turn.message_id).update(status="streaming")
    one_fault("1 runs whose lease has expired")
    turn.refresh_from_db()
    assert (turn.status, turn.error_code, turn.ended_in_log) == ("interrupted", "worker_lost", True)
    assert turn.message.text == "!"


def test_an_end_that_is_not_in_the_log(turn: Run) -> None:
    change(turn, ended_in_log=False)
    one_fault("1 ended runs whose closing event is not in the log")


def test_an_answer_that_is_written_for_ever(turn: Run) -> None:
    Message.objects.filter(pk=turn.message_id).update(status="streaming")
    one_fault("1 answers whose status is not that of their ended run")
    assert Message.objects.get(pk=turn.message_id).status == "complete"


def test_an_answer_without_a_run(turn: Run) -> None:
    message = Message.objects.create(
        conversation=turn.conversation, parent=turn.prompt, role="assistant", status="pending"
    )
    one_fault("1 unfinished answers without a run")
    message.refresh_from_db()
    assert message.status == "interrupted"


def test_a_parent_in_another_conversation(turn: Run) -> None:
    other = Conversation.objects.create()
    stray = Message.objects.create(conversation=other, role="user", text="elsewhere")
    Conversation.objects.filter(pk=other.pk).update(tip=stray)
    Message.objects.filter(pk=turn.message_id).update(parent=stray)
    one_fault("1 messages whose parent is in another conversation")
    assert Message.objects.get(pk=turn.message_id).parent_id == turn.prompt_id


def test_a_run_in_another_conversation(turn: Run) -> None:
    change(turn, conversation=Conversation.objects.create())
    one_fault("1 runs whose answer is in another conversation")


def test_a_conversation_without_its_tip(turn: Run) -> None:
    Conversation.objects.update(tip=None)
    one_fault("1 conversations without their newest message as tip")
    assert Conversation.objects.get().tip_id == turn.message_id


def test_a_reservation_nobody_holds(turn: Run, alice: User) -> None:
    quota = Quota.objects.create(user=alice, limit=10)
    allowance = Allowance.objects.create(user=alice, quota=quota, starts_at=LONG_AGO, reserved=1)
    Reservation.objects.create(run_id=uuid4(), allowance=allowance, amount=1)
    assert repair()[0].startswith("1 reservations without a run or recording under way")
    assert repair() == []
    assert not Reservation.objects.exists()
