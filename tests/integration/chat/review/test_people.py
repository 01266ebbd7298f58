"""Reports, one's own cases, suspension: what a person does and reads."""

from __future__ import annotations

import json
import uuid
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from accounts import suspension
from accounts.models import User
from chat.models import Conversation, Member, Message, ModerationCase, ModerationReport
from chat.models.moderation import Action, DecisionKind
from chat.moderation.cases import NOTICES
from chat.protocol.commands import AudioStart, MessageEdit, MessageSend
from chat.protocol.errors import Suspended
from chat.review import decisions, own_cases
from chat.review.decisions import Outcome
from chat.turns.accept import accept
from chat.voice import recordings
from tests.fixtures.cases import SECRET, make_case, make_masked, make_moderator
from tests.fixtures.conversation_rows import make_conversation
from tests.fixtures.people import logged_in, staff_client

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clean_redis")]


@pytest.fixture
def hers(alice: User) -> Client:
    return logged_in(alice)


@pytest.fixture
def shared(alice: User, bob: User) -> Conversation:
    """Alice's conversation, which Bob may only read."""
    made = make_conversation(alice, 2)
    Member.objects.create(conversation=made, user=bob, role="viewer")
    return made


def report(client: Client, message: Message, **fields: str) -> tuple[int, str]:
    answer = client.post(f"/messages/{message.pk}/report/", {"reason": "spam"} | fields)
    return answer.status_code, answer.json().get("message", "")


@pytest.mark.django_db(transaction=True)
def test_a_viewer_reports_once_and_the_reports_are_one_case(
    hers: Client, alice: User, bob: User, shared: Conversation
) -> None:
    question, answer = Message.objects.filter(conversation=shared).order_by("created_at")
    his = logged_in(bob)
    assert report(his, question, note="  Look\x00 here ") == (200, "")
    assert report(his, question)[0] == 409
    assert report(his, answer)[0] == 200
    assert report(hers, answer)[0] == 200
    case = ModerationCase.objects.get(target_id=question.pk)
    assert (case.origin, case.action, case.person, case.original) == ("report", "flag", alice, "text 0")
    assert ModerationReport.objects.get(case=case).note == "Look here"
    assert ModerationReport.objects.filter(case__target_id=answer.pk).count() == 2
    page = his.get(f"/c/{shared.pk}/").content.decode()
    assert page.count('aria-label="Reported"') == 2
    assert own_cases.known_cases(alice).count() == 0  # a report alone is no case of hers to read


def test_a_report_again_after_the_decision_is_refused(bob: User, shared: Conversation) -> None:
    question = Message.objects.filter(conversation=shared).earliest("created_at")
    his, mo = logged_in(bob), make_moderator()
    report(his, question)
    case = ModerationCase.objects.get()
    decisions.claim(mo, case.pk)
    decisions.decide(mo, case.pk, Outcome(DecisionKind.RELEASE))
    assert report(his, question) == (409, "You have already reported this message.")


@pytest.mark.parametrize(
    ("fields", "status"), [({"reason": "nonsense"}, 400), ({"reason": ""}, 400), ({"note": "x" * 1001}, 400)]
)
def test_reports_that_are_refused(hers: Client, shared: Conversation, fields: dict[str, str], status: int) -> None:
    question = Message.objects.filter(conversation=shared).earliest("created_at")
    assert report(hers, question, **fields)[0] == status
    assert not ModerationReport.objects.exists()


def test_reports_are_for_readers_only_and_limited(hers: Client, bob: User, shared: Conversation) -> None:
    foreign = Message.objects.filter(conversation=make_conversation(bob)).earliest("created_at")
    assert report(hers, foreign)[0] == 404
    assert report(hers, Message(pk=uuid.uuid4()))[0] == 404
    codes = [report(hers, foreign)[0] for _ in range(25)]
    assert set(codes) == {404, 429}


def test_one_own_cases_and_the_appeal(hers: Client, alice: User) -> None:
    mo = make_moderator()
    refused, (masked, _) = make_case(alice), make_masked(alice)
    make_case(alice, action="flag", notice="never told")
    page = hers.get("/cases/").content.decode()
    assert SECRET in page  # the refused message is hers, and nowhere else
    assert "A message that was not sent · Refused" in page
    assert "A message · Parts were replaced" in page
    assert "never told" not in page

    for case in (refused, masked):
        decisions.claim(mo, case.pk)
        decisions.decide(mo, case.pk, Outcome(DecisionKind.DELETE))
    assert own_cases.unseen_cases(alice).count() == 2
    home = hers.get("/").content.decode()
    assert '"decisions": true' in home
    assert "A reviewer removed your text" in hers.get("/cases/").content.decode()
    assert not own_cases.unseen_cases(alice).exists()

    said = hers.post(f"/cases/{refused.pk}/appeal/", {"text": "Line 1\r\nLine 2"}, follow=True).content.decode()
    assert "sent to the reviewers" in said
    assert "Your appeal is waiting for another reviewer" in said
    refused.refresh_from_db()
    assert refused.appeal == "Line 1\nLine 2"
    assert "already appealed" in hers.post(
        f"/cases/{refused.pk}/appeal/", {"text": "x"}, follow=True
    ).content.decode()  # fmt: skip


@pytest.mark.parametrize(
    ("notice", "said"),
    [
        (NOTICES[Action.HOLD], "A reviewer removed your text because of this site&#x27;s rules.</bdi></p>"),
        ("No badgers.", "A reviewer removed your text because of this site&#x27;s rules. No badgers.</bdi></p>"),
    ],
    ids=["general", "of a rule"],
)
def test_a_decision_repeats_the_sentence_of_a_rule_and_not_what_happened_at_once(
    hers: Client, alice: User, notice: str, said: str
) -> None:
    case = make_case(alice, action="hold", notice=notice)
    mo = make_moderator()
    decisions.claim(mo, case.pk)
    decisions.decide(mo, case.pk, Outcome(DecisionKind.DELETE))
    page = hers.get("/cases/").content.decode()
    assert said in page.replace("&#39;", "&#x27;"), page


def test_nobody_elses_cases(hers: Client, bob: User) -> None:
    case = make_case(bob)
    assert "There are none." in hers.get("/cases/").content.decode()
    said = hers.post(f"/cases/{case.pk}/appeal/", {"text": "x"}, follow=True).content.decode()
    assert "access to it" in said
    case.refresh_from_db()
    assert case.appeal == ""


def test_the_export_has_cases_and_reports(hers: Client, alice: User, shared: Conversation) -> None:
    case = make_case(alice)
    report(hers, Message.objects.filter(conversation=shared).latest("created_at"), reason="wrong", note="No")
    data = json.loads(b"".join(hers.get("/conversations/export/")))  # streamed
    assert [(one["id"], one["text"]) for one in data["moderation_cases"]] == [(str(case.pk), SECRET)]
    assert [(one["reason"], one["note"]) for one in data["reports"]] == [("wrong", "No")]


# --- suspension ------------------------------------------------------------------------------------------------------


def send(conversation: Conversation | None) -> MessageSend:
    return MessageSend(
        conversation_id=conversation.pk if conversation else None, client_id=uuid.uuid4(), text="Hello"
    )  # fmt: skip


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("one_model")
def test_a_suspended_person_reads_but_does_not_write(hers: Client, alice: User) -> None:
    conversation = make_conversation(alice, 2)
    question = Message.objects.filter(conversation=conversation).earliest("created_at")
    suspension.suspend(alice, timezone.now() + timedelta(hours=2), "For spam.")
    before = Conversation.objects.count()
    edit = MessageEdit(message_id=question.pk, client_id=uuid.uuid4(), text="Other")
    for command in (send(None), send(conversation), edit):
        with pytest.raises(Suspended, match=r"suspended until .* For spam"):
            accept(alice.pk, command)
    audio = AudioStart(
        conversation_id=None, client_id=uuid.uuid4(), encoding="pcm_s16le", sample_rate=16000, mode="auto",
        auto_send=True,
    )  # fmt: skip
    with pytest.raises(Suspended):
        recordings._insert(alice.pk, audio)
    assert Conversation.objects.count() == before
    page = hers.get(f"/c/{conversation.pk}/").content.decode()
    assert "Your account is suspended until" in page
    assert "text 0" in page

    User.objects.filter(pk=alice.pk).update(suspended_until=timezone.now())  # it ends by itself
    assert not accept(alice.pk, send(None)).duplicate


def test_staff_lift_a_suspension(alice: User) -> None:
    suspension.suspend(alice, timezone.now() + timedelta(hours=2), "For spam.")
    root = staff_client(superuser=True)
    page = f"/admin/accounts/user/{alice.pk}/"
    html = root.get(f"{page}change/").content.decode()
    assert "Suspended until" in html
    assert "No strikes." in html
    assert "can write again" in root.post(f"{page}lift-suspension/", follow=True).content.decode()
    alice.refresh_from_db()
    assert not suspension.is_suspended(alice)
    assert "not suspended" in root.post(f"{page}lift-suspension/", follow=True).content.decode()
