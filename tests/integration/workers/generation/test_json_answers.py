"""Answers that a program wants as JSON: rules read their strings without escapes, and what is masked leaves JSON."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from accounts.auth.api_tokens import create_token
from accounts.lib.db import in_db
from accounts.models import User
from chat.api.outcome import Outcome, read_outcome
from chat.models import ModerationCase
from chat.protocol.commands import ApiSend
from chat.protocol.functions import FORM
from chat.turns.accept import accept
from chat.turns.accepted import Accepted
from chat.turns.api_requests import written
from chat.turns.submit import announce
from tests.fixtures.logged_events import logged
from tests.fixtures.moderation_rules import add_rule
from tests.fixtures.written_answers import Model, Worker
from tests.integration.workers.generation.screening import BAD, everything, texts
from tests.integration.workers.generation.screening import quick_rendering as quick_rendering  # a fixture
from tests.integration.workers.generation.screening import worker as worker  # a fixture

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("one_model", "no_rules")]

CARD = 4111111111111111
SCHEMA = json.dumps({"description": "", "schema": {"type": "object"}, "strict": False})
ESCAPED = f"\\u0058{BAD[1:]}"  # an X that JSON writes as an escape


def ask(user: User) -> Accepted:
    token = create_token(user, "x", ["chat"], days=1)[0]
    turns, notes = [("user", "hello"), (FORM, SCHEMA)], {1: ("", "town")}
    command = ApiSend(
        conversation_id=None, client_id=uuid.uuid4(), text=written(turns, notes), turns=turns, token_id=token.pk,
        temporary=True, notes=notes,
    )  # fmt: skip
    return accept(user.pk, command)


@pytest.fixture
async def asked(alice: User, layer: None) -> Accepted:
    made: Accepted = await in_db(ask, alice)
    await announce(made)
    return made


async def outcome_of(turn: Accepted) -> Outcome:
    found: Outcome | None = await in_db(read_outcome, turn.run_id)
    assert found is not None
    return found


def mask() -> None:
    add_rule("mask", BAD, ["answered"], pii=["card", "email"])


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        (f'{{"card": {CARD}, "n": 1}}', {"card": "[card number]", "n": 1}),
        ('{"mail": "ana@example.org"}', {"mail": "[email address]"}),
        (f'{{"a": "one\\n{BAD}", "b": [true]}}', {"a": "one\n***", "b": [True]}),
        (f'{{"{ESCAPED}": null}}', {"***": None}),
    ],
)
async def test_what_is_masked_leaves_json(asked: Accepted, worker: Worker, answer: str, shown: Any) -> None:
    """In whatever pieces it comes, nothing is shown before it was read."""
    await in_db(mask)
    pieces = [answer[at : at + 7] for at in range(0, len(answer), 7)]
    await worker.write(asked, Model(*[one for piece in pieces for one in (piece, worker.flushed)]))
    outcome = await outcome_of(asked)
    assert (json.loads(outcome.text), outcome.finish, outcome.error) == (shown, "stop", None)
    assert json.loads(texts(await logged(asked))) == shown
    stored = await in_db(everything)
    assert not any(one in stored for one in (str(CARD), "ana@", BAD, ESCAPED))
    case = await ModerationCase.objects.aget()
    assert (case.action, json.loads(case.original)) == ("mask", json.loads(answer))


async def test_what_has_no_hit_is_as_the_model_wrote_it(asked: Accepted, worker: Worker) -> None:
    await in_db(mask)
    answer = '{ "a":"\\u00fc" ,\n "b": 1.50}'
    await worker.write(asked, Model(answer[:5], worker.flushed, answer[5:]))
    assert (await outcome_of(asked)).text == answer
    assert not await ModerationCase.objects.aexists()


async def test_an_escape_does_not_hide_what_is_blocked(asked: Accepted, worker: Worker) -> None:
    await in_db(add_rule, "block", BAD, ["answered"])
    await worker.write(asked, Model(f'{{"a": "one\\n{BAD}', worker.flushed, '", "b": 1}'))
    outcome = await outcome_of(asked)
    assert (outcome.text, outcome.error is not None and outcome.error.code) == ("", "content_policy_violation")
    assert texts(await logged(asked)) == ""
    assert BAD not in await in_db(everything)


async def test_nor_in_json_that_was_cut(asked: Accepted, worker: Worker) -> None:
    """Where a hit is in such a text is not known."""
    await in_db(mask)
    await worker.write(asked, Model(f'{{"a": "{ESCAPED}", "b": "{BAD}", "c": '))
    assert (await outcome_of(asked)).text == "***"
    assert (await ModerationCase.objects.aget()).action == "mask"


async def test_without_rules_it_is_shown_as_it_comes(asked: Accepted, worker: Worker) -> None:
    await worker.write(asked, Model('{"a": ', worker.flushed, "1}"))
    assert [event["text"] for event in await logged(asked) if event["type"] == "run.delta"] == ['{"a": ', "1}"]
