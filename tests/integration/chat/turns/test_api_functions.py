"""A request of the API with functions, calls and results: what the model gets, and what rules read of it."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from accounts.auth.api_tokens import create_token
from accounts.models import ApiToken, User
from chat.models import ApiRequest, Conversation, Message, ModerationCase, Run
from chat.protocol.commands import ApiSend
from chat.protocol.errors import Moderated
from chat.protocol.functions import Notes
from chat.runs.claims import Claim, claim
from chat.turns.accept import accept
from chat.turns.api_requests import written
from tests.fixtures.moderation_rules import add_rule

pytestmark = [
    pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis", "one_model", "no_rules")
]  # fmt: skip
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
FUNCTION = json.dumps({"description": "The weather.", "parameters": SCHEMA})
TURNS = [("user", "How warm?"), ("call", '{"city": "Ulm"}'), ("tool", "15 °C"), ("function", FUNCTION)]
NOTES: dict[int, tuple[str, str]] = {1: ("c1", "weather"), 2: ("c1", "weather"), 3: ("", "weather")}


@pytest.fixture
def token(alice: User) -> ApiToken:
    return create_token(alice, "x", ["chat"], days=1)[0]


def claimed(
    user: User, token: ApiToken, turns: list[tuple[str, str]], notes: Notes = NOTES, **fields: Any
) -> Claim:  # fmt: skip
    """The claim of a request's run."""
    command = ApiSend(
        conversation_id=None, client_id=uuid.uuid4(), text=written(turns, notes), turns=turns, token_id=token.pk,
        temporary=True, notes=dict(notes), **fields,
    )  # fmt: skip
    run_id = accept(user.pk, command).asked_run_id
    assert run_id is not None
    found = claim(run_id, "worker")
    assert found is not None
    return found


def test_a_worker_gets_all_of_it(alice: User, token: ApiToken) -> None:
    found = claimed(alice, token, TURNS, choice="=weather", one_call=True)
    assert found.path == TURNS[:3]
    assert found.exact is not None
    assert found.exact.notes == {1: ("c1", "weather"), 2: ("c1", "weather")}
    [function] = found.functions
    assert (function.name, function.description, function.parameters) == ("weather", "The weather.", SCHEMA)
    assert found.asked == {"choice": "=weather", "one_call": True}
    shown = Message.objects.get(role="user").text
    assert shown == written(TURNS, NOTES)
    assert all(f"{kind} of weather:" in shown for kind in ("Call", "Result"))
    assert Conversation.objects.get().title == "How warm?"


@pytest.mark.parametrize("at", [1, 2, 3])
@pytest.mark.parametrize("action", ["block", "hold"])
def test_rules_read_calls_results_and_functions(alice: User, token: ApiToken, action: str, at: int) -> None:
    add_rule(action, "krokodil")
    turns = list(TURNS)
    words = {1: '{"city": "krokodil"}', 2: "a krokodil", 3: FUNCTION.replace("weather.", "krokodil.")}
    turns[at] = (turns[at][0], words[at])
    with pytest.raises(Moderated):
        claimed(alice, token, turns)
    assert ModerationCase.objects.get().action == "block"
    assert not Run.objects.exists()


@pytest.mark.parametrize("at", [1, 2, 3])
@pytest.mark.parametrize("action", ["block", "mask"])
def test_an_escape_does_not_hide_a_word(alice: User, token: ApiToken, action: str, at: int) -> None:
    """Within JSON, the word has the `n` of its line break before it."""
    add_rule(action, "krokodil")
    turns = list(TURNS)
    words = {1: '{"city": "a\\nkrokodil"}', 2: '["a\\nkrokodil"]', 3: FUNCTION.replace("The weather", "The\\nkrokodil")}
    turns[at] = (turns[at][0], words[at])
    with pytest.raises(Moderated):
        claimed(alice, token, turns)


def test_what_is_masked_does_not_reach_the_model(alice: User, token: ApiToken) -> None:
    add_rule("mask", "krokodil")
    turns = [TURNS[0], ("call", '{"city": "krokodil"}'), ("tool", "krokodil, 15 °C"), TURNS[3]]
    found = claimed(alice, token, turns)
    texts = [text for _, text in found.path]
    assert not any("krokodil" in text for text in texts)
    assert list(json.loads(texts[1])) == ["city"]
    assert texts[2].endswith(", 15 °C")
    assert "krokodil" not in json.dumps(ApiRequest.objects.get().turns)
    assert "krokodil" not in Message.objects.get(role="user").text


CARD = 4111111111111111


def shape(**fields: Any) -> str:
    schema = {"type": "object", "properties": {"city": {"type": "string", **fields}}}
    return json.dumps({"description": "", "schema": schema, "strict": True})


def test_personal_data_in_what_describes_a_schema_is_masked(alice: User, token: ApiToken) -> None:
    """The schema itself stays whole: the model is asked for the same form, and offered the same function."""
    add_rule("mask", "", pii=["email"])
    described = {"description": "As ana@example.org wrote it"}
    function = {"description": "", "parameters": {"type": "object", "properties": {"city": described}}}
    turns = [TURNS[0], TURNS[1], TURNS[2], ("function", json.dumps(function)), ("form", shape(**described))]
    found = claimed(alice, token, turns, NOTES | {4: ("", "town")})
    assert found.exact is not None
    assert found.exact.form is not None
    assert found.exact.form.schema is not None
    said = "As [email address] wrote it"
    assert found.exact.form.schema["properties"]["city"] == {"type": "string", "description": said}
    assert found.functions[0].parameters["properties"]["city"] == {"description": said}
    assert "ana@" not in json.dumps(ApiRequest.objects.get().turns)


@pytest.mark.parametrize("fields", [{"const": CARD}, {"enum": [f"card {CARD}"]}, {"pattern": f"{CARD}"}])
def test_a_schema_that_would_be_another_one_is_refused(alice: User, token: ApiToken, fields: dict[str, Any]) -> None:
    """A masked number is no JSON; the model would be asked for JSON of any form, and nobody would notice."""
    add_rule("mask", "", pii=["card"])
    with pytest.raises(Moderated):
        claimed(alice, token, [TURNS[0], ("form", shape(**fields))], {1: ("", "town")})
    parameters = {"description": "", "parameters": {"type": "object", "properties": {"city": fields}}}
    with pytest.raises(Moderated):
        claimed(alice, token, [*TURNS[:3], ("function", json.dumps(parameters))])
    assert [case.action for case in ModerationCase.objects.all()] == ["block", "block"]
    assert not Run.objects.exists()


def test_arguments_stay_json_or_are_refused(alice: User, token: ApiToken) -> None:
    add_rule("mask", "", pii=["card"])
    found = claimed(alice, token, [TURNS[0], ("call", f'{{"card": "{CARD}"}}'), *TURNS[2:]])
    assert json.loads(found.path[1][1]) == {"card": "[card number]"}
    with pytest.raises(Moderated):
        claimed(alice, token, [TURNS[0], ("call", f'{{"card": {CARD}}}'), *TURNS[2:]])
    found = claimed(alice, token, [TURNS[0], ("call", f"card {CARD}, no JSON"), *TURNS[2:]])
    assert found.path[1][1] == "card [card number], no JSON"
