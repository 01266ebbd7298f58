"""How answers of the API end, and what is left of them."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

import httpx
import pytest

from tests.fakes.openai_server import FakeOpenAI
from tests.fixtures.api_tokens import add_token
from tests.integration.chat.api.asking import body_of as body
from tests.integration.chat.api.asking import eventually
from tests.stack import Stack

pytestmark = pytest.mark.integration

SLOW = "tokens=6000 rate=10"  # ten minutes: however slow the machine is, it does not end by itself


@pytest.fixture(autouse=True)
def fresh(upstream: FakeOpenAI) -> None:
    upstream.reset()


def run_of(stack: Stack, answer_id: str) -> dict[str, Any]:
    (run,) = stack.sql("SELECT * FROM chat_run WHERE id = %s", uuid.UUID(answer_id.partition("-")[2]))
    return run


def first_data(lines: Any) -> dict[str, Any]:
    for line in lines:
        if line.startswith("data: ") and "content" in line:
            found: dict[str, Any] = json.loads(line[6:])
            if found["choices"][0]["delta"].get("content"):
                return found
    raise AssertionError("no text came")


def test_who_leaves_stops_the_answer(stack: Stack, plain: httpx.Client, upstream: FakeOpenAI) -> None:
    upstream.play(SLOW)
    with plain.stream("POST", "chat/completions", json=body(stream=True)) as response:
        chunk = first_data(response.iter_lines())
    eventually(lambda: run_of(stack, chunk["id"])["status"] == "stopped", 5)
    assert upstream.chats[-1].wait_ended()


def test_who_leaves_without_a_stream_stops_it_too(stack: Stack, plain: httpx.Client, upstream: FakeOpenAI) -> None:
    upstream.play(SLOW)
    with pytest.raises(httpx.ReadTimeout):
        plain.post("chat/completions", json=body(), timeout=1.5)
    recent = "SELECT 1 FROM chat_run WHERE status = 'stopped' AND finished_at > now() - interval '9 s'"
    eventually(lambda: stack.sql(recent), 5)


def test_with_a_key_of_its_own_one_answer_is_made_and_billed_once(
    stack: Stack, plain: httpx.Client, upstream: FakeOpenAI
) -> None:
    upstream.play('text="Once and for all." rate=4')
    key = {"Idempotency-Key": uuid.uuid4().hex}
    with pytest.raises(httpx.ReadTimeout):
        plain.post("chat/completions", json=body(), headers=key, timeout=0.7)
    again = plain.post("chat/completions", json=body(), headers=key).json()
    assert again["choices"][0]["message"]["content"] == "Once and for all."
    once_more = plain.post("chat/completions", json=body(stream=True), headers=key)
    texts = [json.loads(line[6:]) for line in once_more.text.splitlines() if line.startswith("data: {")]
    assert "".join(one["choices"][0]["delta"].get("content") or "" for one in texts) == "Once and for all."
    assert len(upstream.chats) == 1
    entries = stack.sql("SELECT 1 FROM accounts_usageentry WHERE run_id = %s", run_of(stack, again["id"])["id"])
    assert len(entries) == 1
    other = plain.post("chat/completions", json=body("else"), headers=key)
    assert (other.status_code, other.json()["error"]["code"]) == (409, "idempotency_key_reused")


@pytest.mark.parametrize("how", ["revoked", "disabled"])
def test_a_token_that_ends_ends_its_streams_within_two_seconds(stack: Stack, upstream: FakeOpenAI, how: str) -> None:
    email = stack.add_user("Ended")
    token = add_token(stack, email)
    upstream.play(SLOW)
    url = f"{stack.webs[0].url}/v1/chat/completions"
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.stream("POST", url, json=body(stream=True), headers=headers, timeout=30, trust_env=False) as response:
        lines = response.iter_lines()
        chunk = first_data(lines)
        if how == "revoked":
            stack.manage("api_tokens", "revoke", token.split("_")[1])
        else:
            disable = f"from accounts.models import User; User.objects.filter(email={email!r}).update(is_active=False)"
            stack.manage("shell", "--no-imports", "-c", disable)
        since = time.monotonic()
        rest = list(lines)
        assert time.monotonic() - since < 2
    assert any('"code":"token_ended"' in line for line in rest)
    eventually(lambda: run_of(stack, chunk["id"])["status"] == "stopped", 5)
    assert httpx.post(url, json=body(), headers=headers, trust_env=False).status_code == 401


def test_a_worker_that_dies(stack: Stack, plain: httpx.Client, upstream: FakeOpenAI) -> None:
    """The client gets what was written, and is told that it is not all."""
    upstream.play(SLOW)
    with plain.stream("POST", "chat/completions", json=body(stream=True)) as response:
        lines = response.iter_lines()
        first_data(lines)
        stack.workers[0].kill()
        stack.workers[0].restart()
        rest = list(lines)
    assert any('"code":"worker_lost"' in line for line in rest), rest[-3:]
    assert rest[-2] == "data: [DONE]" or rest[-1] == "data: [DONE]"


def test_what_is_kept(stack: Stack, plain: httpx.Client) -> None:
    def conversation_of(**fields: Any) -> dict[str, Any]:
        made = plain.post("chat/completions", json=body(**fields)).json()
        (row,) = stack.sql(
            "SELECT c.temporary, c.title, a.turns FROM chat_run r JOIN chat_conversation c ON c.id = r.conversation_id"
            " JOIN chat_apirequest a ON a.message_id = r.prompt_id WHERE r.id = %s",
            uuid.UUID(made["id"].partition("-")[2]),
        )
        return row

    assert conversation_of() == {"temporary": True, "title": "hello", "turns": [["user", "hello"]]}
    assert conversation_of(store=True)["temporary"] is False


def test_the_token_is_in_its_owners_export(stack: Stack, token: str) -> None:
    exported = json.loads(stack.manage("export_user", "alice@example.org"))
    mine = next(one for one in exported["api_tokens"] if one["prefix"] == token.split("_")[1])
    assert (mine["scopes"], mine["state"]) == (["models.read", "chat"], "working")
    assert token.split("_", 2)[2] not in json.dumps(exported)


def test_a_question_that_is_changed_is_not_asked_as_it_was(stack: Stack, plain: httpx.Client) -> None:
    made = plain.post("chat/completions", json=body()).json()
    prompt = run_of(stack, made["id"])["prompt_id"]
    stack.sql("UPDATE chat_message SET html = 'x' WHERE id = %s", prompt)
    assert stack.sql("SELECT 1 FROM chat_apirequest WHERE message_id = %s", prompt)
    stack.sql("UPDATE chat_message SET text = '' WHERE id = %s", prompt)
    assert not stack.sql("SELECT 1 FROM chat_apirequest WHERE message_id = %s", prompt)
