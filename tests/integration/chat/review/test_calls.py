"""Decisions about what tools were given and returned, and about the files that they made."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.db.models.functions import Now

from accounts.models import User
from chat.models import Message, ModerationCase, Run, ToolCall, ToolFile
from chat.models.rewritten import Rewritten
from chat.protocol.errors import Conflict
from chat.review import decisions
from chat.review.decisions import Outcome
from tests.fixtures.cases import make_moderator
from tests.fixtures.tool_rows import with_calls

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clean_redis", "one_model")]

SECRET = "a secret word"


def make(alice: User, target: str, action: str = "mask", **fields: Any) -> tuple[ModerationCase, ToolCall]:
    """A case about the first call of an answer that has ended."""
    found = with_calls(alice)
    run = Run.objects.get(pk=found.id)
    Run.objects.filter(pk=run.pk).update(status="done", lease_owner="", lease_expires_at=None, finished_at=Now())
    Message.objects.filter(pk=run.message_id).update(status="complete")
    call = ToolCall.objects.get(pk=found.calls[0])
    ToolCall.objects.filter(pk=call.pk).update(arguments='"***"', output="***", output_chars=3)
    case = ModerationCase.objects.create(
        target=target, target_id=fields.pop("target_id", call.pk), person=alice, conversation=run.conversation,
        direction="answered", origin="rule", action=action, original=SECRET, **fields,
    )  # fmt: skip
    return case, call


def decide(case: ModerationCase, kind: str) -> str:
    by = make_moderator()
    decisions.claim(by, case.pk)
    return decisions.decide(by, case.pk, Outcome(kind)).effects[0]  # type: ignore[arg-type]


def test_released_arguments_and_results_are_shown_as_they_were(alice: User) -> None:
    case, call = make(alice, "call")
    assert "as they were" in decide(case, "release")
    call.refresh_from_db()
    assert call.arguments == SECRET
    assert Rewritten.objects.filter(message=call.run.message_id).exists(), "readers get it anew"


def test_a_released_result_lifts_the_mark_of_its_answer(alice: User) -> None:
    case, call = make(alice, "result", "block", rules=[{"rule": "r", "output": len("a secret"), "places": []}])
    moderation = {"action": "block", "reason": "No.", "case_id": str(case.pk)}
    Message.objects.filter(pk=call.run.message_id).update(moderation=moderation)
    decide(case, "release")
    call.refresh_from_db()
    assert (call.output, call.output_chars) == ("a secret", 8)
    assert Message.objects.get(pk=call.run.message_id).moderation == {}


def test_what_was_deleted_is_empty(alice: User) -> None:
    case, call = make(alice, "result")
    decide(case, "delete")
    call.refresh_from_db()
    assert (call.arguments, call.output) == ("", "")


def test_a_file_gets_its_text_back_or_is_deleted(alice: User) -> None:
    _, call = make(alice, "call")
    file = ToolFile.objects.create(
        conversation_id=call.run.conversation_id,
        call=call,
        name="a.txt",
        media_type="text/plain",
        size=3,
        content=b"***",
    )
    case, _ = make(alice, "file", target_id=file.pk)
    decide(case, "release")
    file.refresh_from_db()
    assert (bytes(file.content), file.size) == (SECRET.encode(), len(SECRET))
    case.status, case.claimed_by = "open", None
    case.save()
    make_moderator("Nora")
    decisions.claim(User.objects.get(email="nora@example.org"), case.pk)
    decisions.decide(User.objects.get(email="nora@example.org"), case.pk, Outcome("delete"))  # type: ignore[arg-type]
    assert not ToolFile.objects.exists()


@pytest.mark.parametrize("target", ["call", "result", "file"])
def test_what_is_gone_has_its_decision_recorded(alice: User, target: str) -> None:
    case, _ = make(alice, target, target_id=uuid.uuid4())
    assert "the decision is recorded" in decide(case, "release")


def test_an_answer_that_is_being_written_waits(alice: User) -> None:
    case, call = make(alice, "call")
    Message.objects.filter(pk=call.run.message_id).update(status="streaming")
    with pytest.raises(Conflict, match="still being written"):
        decide(case, "release")
