"""Titles that were made of a question which is withheld later."""

from __future__ import annotations

import uuid

import pytest

from accounts.auth.api_tokens import create_token
from accounts.models import User
from chat.conversations.copying import fork
from chat.models import Conversation, Message, RunStatus
from chat.moderation.rewriting import rewrite_message
from chat.protocol.commands import ApiSend
from chat.runs.ending import end_run
from chat.turns.accept import accept
from chat.turns.accepted import Accepted
from chat.turns.api_requests import written
from tests.fixtures.moderation_rules import add_rule
from tests.fixtures.run_rows import say

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis", "one_model", "layer")]

ASKED = "Tell me about Xylophone-4711"


def stopped(user: User, text: str, conversation_id: uuid.UUID | None = None) -> Accepted:
    asked = say(user, text, conversation_id)
    end_run(asked.run_id, 0, RunStatus.STOPPED)
    return asked


def withhold(message_id: uuid.UUID) -> None:
    rewrite_message(message_id, "", {"action": "block", "reason": "", "case_id": ""}, publish=False)


def title() -> str:
    return Conversation.objects.get().title


def test_a_title_goes_with_the_later_question_that_gave_it(alice: User) -> None:
    """The first one is withheld before that is asked, so the title is made of it."""
    first = stopped(alice, "Tell me something secret")
    withhold(first.message_id)
    assert title() == ""
    second = say(alice, ASKED, first.conversation_id)
    assert title() == ASKED
    withhold(second.message_id)
    assert title() == ""


def test_a_later_question_with_the_words_of_the_first_leaves_the_title(alice: User) -> None:
    first = stopped(alice, ASKED)
    second = say(alice, ASKED, first.conversation_id)
    rewrite_message(second.message_id, "Another text", {}, publish=False)
    assert title() == ASKED


def test_the_title_of_a_copy_goes_with_the_question(alice: User) -> None:
    copy = fork(alice.pk, stopped(alice, ASKED).message_id)
    assert ASKED in copy.title
    withhold(Message.objects.get(conversation=copy, parent=None).pk)
    assert Conversation.objects.get(pk=copy.pk).title == ""


def test_the_title_that_a_person_gave_is_copied_for_good(alice: User) -> None:
    asked = stopped(alice, ASKED)
    Conversation.objects.update(title="Music")
    copy = fork(alice.pk, asked.message_id)
    withhold(Message.objects.get(conversation=copy, parent=None).pk)
    assert Conversation.objects.get(pk=copy.pk).title == "Music (copy)"


def test_a_title_that_rules_have_masked_goes_too(alice: User, no_rules: None) -> None:
    add_rule("mask", "tell", ["named"])
    asked = say(alice, ASKED)
    assert title() != ASKED
    assert "Xylophone" in title()
    withhold(asked.message_id)
    assert title() == ""


def test_the_title_of_a_request_of_the_api_goes_too(alice: User) -> None:
    """It is made of the last turn, while the message has all turns."""
    token = create_token(alice, "x", ["chat"], days=1, daily_requests=3)[0]
    turns = [("system", "Be brief."), ("user", ASKED)]
    command = ApiSend(
        conversation_id=None, client_id=uuid.uuid4(), text=written(turns), turns=turns, token_id=token.pk
    )  # fmt: skip
    asked = accept(alice.pk, command)
    assert title() == ASKED
    withhold(asked.message_id)
    assert title() == ""
