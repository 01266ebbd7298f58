"""The limits and rules of the site hold for programs as they do for people."""

from __future__ import annotations

import json

import openai
import pytest

from tests.fakes.openai_server import FakeOpenAI
from tests.fixtures.api_tokens import add_token
from tests.fixtures.stack_rules import rules_of
from tests.integration.chat.api.asking import ask_with, eventually
from tests.stack import Stack

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def fresh(upstream: FakeOpenAI) -> None:
    upstream.reset()


def test_a_quota_of_messages(stack: Stack, upstream: FakeOpenAI) -> None:
    email = stack.add_user("Quota")
    token = add_token(stack, email)
    stack.manage("quota", "set", "--user", email, "--unit", "messages", "--period", "month", "1")
    assert ask_with(stack, token).status_code == 200
    refused = ask_with(stack, token)
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "insufficient_quota")
    assert int(refused.headers["retry-after"]) > 60
    assert refused.headers["x-should-retry"] == "false"
    assert len(upstream.chats) == 1
    assert not stack.sql("SELECT 1 FROM accounts_reservation")


def test_a_quota_of_tokens_cuts_the_answer(stack: Stack, upstream: FakeOpenAI) -> None:
    email = stack.add_user("Tokens")
    token = add_token(stack, email)
    stack.manage("quota", "set", "--user", email, "--unit", "output_tokens", "--period", "month", "20")
    upstream.play("tokens=400")
    made = ask_with(stack, token).json()
    assert made["choices"][0]["finish_reason"] == "length"
    assert 0 < made["usage"]["completion_tokens"] <= 20
    assert ask_with(stack, token).json()["error"]["code"] == "insufficient_quota"


def test_the_limits_of_a_token(stack: Stack) -> None:
    daily = add_token(stack, daily_requests=2)
    found = [ask_with(stack, daily) for _ in range(3)]
    assert [one.status_code for one in found] == [200, 200, 429]
    assert found[2].json()["error"]["message"] == "This token has reached its limit of answers for today."
    assert 0 < int(found[2].headers["retry-after"]) <= 86_400
    slow = add_token(stack, rate="2/h")
    found = [ask_with(stack, slow) for _ in range(3)]
    assert [(one.status_code, one.json().get("error", {}).get("code")) for one in found] == [
        (200, None), (200, None), (429, "rate_limit_exceeded")
    ]  # fmt: skip
    assert int(found[2].headers["retry-after"]) > 60
    (used,) = stack.sql("SELECT last_used_at FROM accounts_apitoken WHERE prefix = %s", slow.split("_")[1])
    assert used["last_used_at"] is not None


def test_rules_for_what_is_asked(stack: Stack, token: str, client: openai.OpenAI, upstream: FakeOpenAI) -> None:
    """In each turn, also where the client says that it is the assistant's or the system's."""
    rules = [
        {"name": "b", "words": "krokodil", "action": "block", "notice": "No crocodiles."},
        {"name": "m", "words": "password", "action": "mask"},
    ]
    with rules_of(stack, *rules, directions=["asked"]):
        eventually(lambda: ask_with(stack, token, "krokodil").status_code == 400, 15)
        upstream.reset()
        for role in ("system", "user", "assistant"):
            with pytest.raises(openai.BadRequestError) as refused:
                client.chat.completions.create(
                    model="small",
                    messages=[{"role": role, "content": "a Krokodil"}, {"role": "user", "content": "x"}],  # type: ignore[list-item,misc]
                )
            assert refused.value.code == "content_policy_violation"
            assert "No crocodiles." in refused.value.message
        assert len(upstream.chats) == 0
        client.chat.completions.create(
            model="small",
            messages=[{"role": "system", "content": "The password is x"}, {"role": "user", "content": "hi"}],
        )
        asked = upstream.wait_chats(1)[0].body["messages"]
        assert "password" not in json.dumps(asked)
        assert [one["role"] for one in asked] == ["system", "user"]
    cases = stack.sql("SELECT action FROM chat_moderationcase ORDER BY opened_at DESC LIMIT 4")
    assert [case["action"] for case in cases] == ["mask", "block", "block", "block"]


def test_rules_for_what_is_answered(stack: Stack, token: str, client: openai.OpenAI, upstream: FakeOpenAI) -> None:
    with rules_of(stack, {"name": "a", "words": "krokodil", "action": "block"}):

        def withheld() -> bool:
            upstream.play('text="a krokodil"')
            return "krokodil" not in ask_with(stack, token).text

        eventually(withheld, 15)
        upstream.reset()
        upstream.play('text="one two three four five six seven eight nine ten eleven a krokodil" rate=40', times=2)
        made = client.chat.completions.create(model="small", messages=[{"role": "user", "content": "x"}])
        assert made.choices[0].finish_reason == "content_filter"
        assert "krokodil" not in str(made)
        chunks = client.chat.completions.create(model="small", messages=[{"role": "user", "content": "x"}], stream=True)
        streamed = [chunk.choices[0] for chunk in chunks]
        assert streamed[-1].finish_reason == "content_filter"
        assert "krokodil" not in "".join(one.delta.content or "" for one in streamed)
