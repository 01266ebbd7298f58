"""A request of the API as a turn: what the model gets, what is screened, what counts."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from accounts.auth.api_tokens import create_token
from accounts.models import ApiToken, User
from chat.models import ApiRequest, Conversation, Instructions, Message, ModerationCase, Run
from chat.protocol.commands import ApiSend, MessageRegenerate
from chat.protocol.errors import Moderated, QuotaExceeded
from chat.runs.claims import claim
from chat.runs.ending import Ending
from chat.turns.accept import accept
from chat.turns.accepted import Accepted
from chat.turns.api_requests import written
from tests.fixtures.moderation_rules import add_rule
from tests.fixtures.quota_rows import end
from workers.generation.request_context import NothingKnown, RequestContext
from workers.providers.base import ChatTurn

pytestmark = [
    pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis", "one_model", "no_rules")
]  # fmt: skip
TURNS = [("system", "Be brief."), ("user", "one"), ("assistant", "two"), ("assistant", "three"), ("user", "four")]


@pytest.fixture
def token(alice: User) -> ApiToken:
    return create_token(alice, "x", ["chat"], days=1, daily_requests=3)[0]


def request(token: ApiToken, turns: list[tuple[str, str]], **fields: Any) -> ApiSend:
    return ApiSend(
        conversation_id=None, client_id=uuid.uuid4(), text=written(turns), turns=turns, token_id=token.pk,
        temporary=True, **fields,
    )  # fmt: skip


def sent(run_id: uuid.UUID) -> list[ChatTurn]:
    """What a worker that claims the run sends to the model."""
    claimed = claim(run_id, "worker")
    assert claimed is not None
    return list(RequestContext(claimed, NothingKnown()).turns)


def run_of(accepted: Accepted) -> uuid.UUID:
    assert accepted.asked_run_id is not None
    return accepted.asked_run_id


def test_the_turns_are_sent_as_they_are(alice: User, token: ApiToken, settings: Any) -> None:
    settings.SYSTEM_PROMPT = "The site's own."
    Instructions.objects.create(user=alice, text="I like cats.", enabled=True)
    accepted = accept(alice.pk, request(token, TURNS))
    assert sent(run_of(accepted)) == [ChatTurn(role, text) for role, text in TURNS]
    shown = Message.objects.get(pk=accepted.message_id)
    assert shown.text == "System:\nBe brief.\n\nUser:\none\n\nAssistant:\ntwo\n\nAssistant:\nthree\n\nUser:\nfour"
    assert Conversation.objects.get().title == "four"


def test_another_answer_reads_the_same_until_the_question_is_changed(alice: User, token: ApiToken) -> None:
    accepted = accept(alice.pk, request(token, TURNS))
    end(run_of(accepted), Ending("An answer"))
    answer = Run.objects.get().message_id
    again = accept(alice.pk, MessageRegenerate(message_id=answer, client_id=uuid.uuid4()))
    assert sent(run_of(again)) == [ChatTurn(role, text) for role, text in TURNS]
    Message.objects.filter(pk=accepted.message_id).update(text="rewritten")
    assert not ApiRequest.objects.exists()
    Run.objects.filter(pk=run_of(again)).update(status="queued", lease_owner="", lease_expires_at=None)
    assert sent(run_of(again))[-1] == ChatTurn("user", "rewritten")


def test_what_a_rule_masks_is_masked_in_each_turn(alice: User, token: ApiToken) -> None:
    add_rule("mask", "one\nthree")
    accepted = accept(alice.pk, request(token, TURNS))
    texts = [turn.content for turn in sent(run_of(accepted))]
    assert (texts[0], texts[2], texts[4]) == ("Be brief.", "two", "four")
    assert "one" not in texts[1]
    assert "three" not in texts[3]
    assert "one" not in Message.objects.get(pk=accepted.message_id).text
    assert ModerationCase.objects.get().original == written(TURNS)


@pytest.mark.parametrize("action", ["block", "hold"])
@pytest.mark.parametrize("turn", range(len(TURNS)))
def test_what_a_rule_blocks_or_holds_is_refused_in_each_turn(
    alice: User, token: ApiToken, action: str, turn: int
) -> None:
    add_rule(action, "krokodil")
    turns = [(role, f"{text} krokodil" if number == turn else text) for number, (role, text) in enumerate(TURNS)]
    with pytest.raises(Moderated):
        accept(alice.pk, request(token, turns))
    assert ModerationCase.objects.get().action == "block"
    assert not Run.objects.exists()
    token.refresh_from_db()
    assert token.day_count == 0


def test_the_answers_of_a_day_count_with_what_is_accepted(alice: User, token: ApiToken, settings: Any) -> None:
    settings.RATE_RUNS_PER_USER = 0
    command = request(token, TURNS)
    first = accept(alice.pk, command)
    assert run_of(accept(alice.pk, command)) == run_of(first)  # the same again
    for _ in range(2):
        accept(alice.pk, request(token, TURNS))
    with pytest.raises(QuotaExceeded) as full:
        accept(alice.pk, request(token, TURNS))
    assert full.value.retry_after is not None
    assert Run.objects.count() == ApiRequest.objects.count() == 3
