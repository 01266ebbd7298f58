"""The REST API as a program uses it: conversations, messages, members, files, usage, and what it refuses."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import httpx
import pytest

from tests.fakes.openai_server import FakeOpenAI
from tests.fixtures.api_tokens import add_token
from tests.integration.chat.api.rest_client import begin, read_answer, rest, rest_with
from tests.stack import Stack

pytestmark = pytest.mark.integration


@pytest.fixture
def client(stack: Stack) -> Iterator[httpx.Client]:
    with rest(stack) as made:
        yield made


def test_a_conversation_from_its_first_message_to_the_trash(client: httpx.Client) -> None:
    accepted = begin(client, "What is a crocodile?")
    assert (accepted["held"], accepted["duplicate"]) == (False, False)
    answer = read_answer(client, accepted)
    assert (answer["status"], answer["role"], answer["run"]["status"]) == ("complete", "assistant", "done")
    assert answer["text"]
    place = f"conversations/{accepted['conversation_id']}"
    found = client.get(f"{place}/messages").json()
    assert [one["role"] for one in found["data"]] == ["user", "assistant"]
    assert found["data"][0]["author"]["name"] == "Alice"
    assert found["next_cursor"] is None
    changed = client.patch(place, json={"title": "Crocodiles", "pinned": True, "archived": True}).json()
    assert (changed["title"], changed["pinned"], changed["archived"]) == ("Crocodiles", True, True)
    assert changed["id"] in [one["id"] for one in client.get("conversations?archived=true").json()["data"]]
    assert changed["id"] not in [one["id"] for one in client.get("conversations").json()["data"]]
    assert client.delete(place).status_code == 204
    assert client.get(place).status_code == 404
    assert client.post(f"{place}/restore").json()["title"] == "Crocodiles"


def test_messages_edited_asked_again_and_deleted(client: httpx.Client, upstream: FakeOpenAI) -> None:
    accepted = begin(client, "one", options={"temperature": 0.5, "system_prompt": "Be brief."})
    read_answer(client, accepted)
    sent = upstream.chats[-1].body
    assert sent["temperature"] == 0.5
    assert sent["messages"][0]["content"].startswith("Be brief.")
    more = client.post(f"conversations/{accepted['conversation_id']}/messages", json={"text": "two"}).json()
    first = read_answer(client, more)
    again = client.post(f"messages/{first['id']}/regenerate", json={"model": "large"})
    assert again.status_code == 202
    assert read_answer(client, again.json())["run"]["model"] == "large"
    other = client.post(f"messages/{more['message_id']}/versions", json={"text": "three"}).json()
    read_answer(client, other)
    assert client.get(f"messages/{other['message_id']}").json()["text"] == "three"
    edited = client.patch(f"messages/{accepted['message_id']}", json={"text": "uno"}).json()
    assert (edited["text"], edited["id"]) == ("uno", accepted["message_id"])
    assert edited["edited_at"]
    refused = client.patch(f"messages/{accepted['message_id']}", json={"text": "eins", "seen": ""})
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "conflict")
    assert client.delete(f"messages/{first['id']}").status_code == 204
    assert client.get(f"messages/{first['id']}").json()["deleted_at"]


def test_pages_go_back_by_cursor(client: httpx.Client) -> None:
    ids = [begin(client, f"question {number}")["conversation_id"] for number in range(3)]
    seen, cursor = [], ""
    while True:
        page = client.get("conversations", params={"limit": 1, "cursor": cursor}).json()
        seen += [one["id"] for one in page["data"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert len(seen) == len(set(seen))
    assert [one for one in seen if one in ids] == ids[::-1]
    accepted = begin(client, "first")
    read_answer(client, accepted)
    place = f"conversations/{accepted['conversation_id']}/messages"
    newest = client.get(place, params={"limit": 1}).json()
    oldest = client.get(place, params={"limit": 1, "cursor": newest["next_cursor"]}).json()
    assert [one["role"] for one in (*newest["data"], *oldest["data"])] == ["assistant", "user"]
    assert oldest["next_cursor"] is None
    for bad in ("%%%", "bm9uc2Vuc2U", "x" * 500):
        for where in ("conversations", place, "files"):
            refused = client.get(where, params={"cursor": bad})
            assert (refused.status_code, refused.json()["error"]["param"]) == (400, "cursor"), (where, bad)


def test_the_same_key_sends_once(client: httpx.Client, upstream: FakeOpenAI) -> None:
    headers = {"Idempotency-Key": f"key-{uuid.uuid4()}"}
    body = {"text": "only once", "model": "small"}
    first = client.post("conversations", json=body, headers=headers).json()
    read_answer(client, first)
    asked = len(upstream.chats)
    second = client.post("conversations", json=body, headers=headers).json()
    assert second == {**first, "duplicate": True}
    assert len(upstream.chats) == asked
    other = client.post("conversations", json={**body, "text": "other"}, headers=headers)
    assert (other.status_code, other.json()["error"]["code"]) == (409, "conflict")


def test_stopping(client: httpx.Client, upstream: FakeOpenAI) -> None:
    upstream.play("tokens=6000 rate=10")  # ten minutes
    accepted = begin(client)
    assert client.post(f"runs/{accepted['answer']['run_id']}/stop").status_code == 204
    assert read_answer(client, accepted)["status"] == "stopped"
    assert client.post(f"runs/{uuid.uuid4()}/stop").status_code == 404


def test_members(stack: Stack, client: httpx.Client) -> None:
    place = f"conversations/{begin(client)['conversation_id']}/members"
    with rest(stack, "bob@example.org") as bob:
        check_members(client, bob, place)


def check_members(client: httpx.Client, bob: httpx.Client, place: str) -> None:
    me = bob.get("me").json()
    added = client.post(place, json={"email": "bob@example.org", "role": "viewer"})
    assert added.status_code == 201
    assert [(one["name"], one["role"]) for one in added.json()["data"]] == [("Alice", "owner"), ("Bob", "viewer")]
    refused = bob.post(place.replace("members", "messages"), json={"text": "may I?"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "forbidden")
    assert client.patch(f"{place}/{me['id']}", json={"role": "owner"}).json()["data"][1]["role"] == "owner"
    assert client.delete(f"{place}/{client.get('me').json()['id']}").status_code == 204  # Alice leaves
    assert client.get(place).status_code == 404
    assert [one["name"] for one in bob.get(place).json()["data"]] == ["Bob"]
    alone = bob.delete(f"{place}/{me['id']}")
    assert (alone.status_code, alone.json()["error"]["code"]) == (400, "invalid_value")


def test_files(client: httpx.Client, upstream: FakeOpenAI) -> None:
    begun = client.post("uploads", json={"name": "notes.txt", "size": 10}).json()
    assert client.put(f"uploads/{begun['id']}", params={"offset": 0}, content=b"some ").json()["received"] == 5
    wrong = client.put(f"uploads/{begun['id']}", params={"offset": 7}, content=b"tes")
    assert (wrong.status_code, wrong.json()["error"]["code"], wrong.json()["error"]["received"]) == (
        409, "wrong_offset", 5,
    )  # fmt: skip
    assert client.post(f"uploads/{begun['id']}/finish").status_code == 409
    client.put(f"uploads/{begun['id']}", params={"offset": 5}, content=b"notes")
    file = client.post(f"uploads/{begun['id']}/finish").json()
    assert (file["id"], file["name"], file["size"]) == (begun["id"], "notes.txt", 10)
    assert file["id"] in [one["id"] for one in client.get("files").json()["data"]]
    got = client.get(f"files/{file['id']}/content")
    assert got.content == b"some notes"
    assert got.headers["content-disposition"].startswith("attachment")
    accepted = begin(client, "read this", attachments=[file["id"]])
    read_answer(client, accepted)
    assert "some notes" in str(upstream.chats[-1].body["messages"])
    assert client.get(f"messages/{accepted['message_id']}").json()["files"][0]["name"] == "notes.txt"
    assert client.get(f"files/{file['id']}/text").json()["data"][0]["text"] == "some notes"
    assert client.delete(f"files/{file['id']}").status_code == 204
    assert client.get(f"files/{file['id']}").status_code == 404
    cancelled = client.post("uploads", json={"name": "x.txt", "size": 3}).json()
    assert client.delete(f"uploads/{cancelled['id']}").status_code == 204
    assert client.get(f"uploads/{cancelled['id']}").status_code == 404


def test_usage_and_quotas(client: httpx.Client) -> None:
    read_answer(client, begin(client))
    for by in ("day", "model", "conversation"):
        report = client.get("usage", params={"by": by}).json()
        assert sum(row["messages"] for row in report["data"]) >= 1, by
    assert client.get("usage", params={"since": "2020-01-01"}).json()["error"]["param"] == "since"
    assert client.get("quotas").json()["data"] == []


def test_a_token_has_its_own_rate_and_answers_a_day(stack: Stack) -> None:
    with rest(stack, daily_requests=1, day_count=0) as client:
        read_answer(client, begin(client))
        refused = client.post("conversations", json={"text": "more", "model": "small"})
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "insufficient_quota")
        assert int(refused.headers["retry-after"]) > 0
        assert client.get("conversations").is_success
    with rest(stack, rate="2/m") as client:
        statuses = [client.get("me").status_code for _ in range(3)]
        assert statuses == [200, 200, 429]


@pytest.mark.parametrize(
    ("method", "where", "body", "status", "code", "param"),
    [
        ("POST", "conversations", {"txt": "x"}, 400, "missing_required_parameter", "text"),
        ("POST", "conversations", {"text": "x", "colour": "red"}, 400, "unknown_parameter", "colour"),
        ("POST", "conversations", {"text": "  "}, 400, "invalid_value", None),
        ("POST", "conversations", {"text": "x", "options": {"effort": "much"}}, 400, "invalid_value", "options.effort"),
        ("POST", "conversations", {"text": "x", "options": {"temperature": 9}}, 400, "invalid_value", None),
        ("POST", "conversations", {"text": "x", "model": "unknown"}, 400, "invalid_value", None),
        ("POST", "conversations", b"{", 400, "invalid_json", None),
        ("POST", "conversations", b'{"text": [' + b"[]," * 50_000 + b"0]}", 413, "too_large", None),
        ("GET", "conversations?limit=1000", None, 400, "invalid_value", "limit"),
        ("GET", "nothing", None, 404, "unknown_url", None),
        ("GET", f"conversations/{uuid.UUID(int=7)}", None, 404, "not_found", None),
        ("PUT", "conversations", {}, 405, "method_not_allowed", None),
    ],
)
def test_refusals_have_one_shape(
    client: httpx.Client, method: str, where: str, body: object, status: int, code: str, param: str | None
) -> None:
    sent = {"content": body} if isinstance(body, bytes) else {"json": body}
    refused = client.request(method, where, **sent)
    error = refused.json()["error"]
    assert (refused.status_code, error["code"], error["param"]) == (status, code, param), error
    assert set(error) == {"message", "type", "param", "code", "trace_id"}
    assert error["trace_id"] == refused.headers["x-request-id"]
    assert len(error["trace_id"]) == 32
    assert "no-store" in refused.headers["cache-control"]


def test_a_client_names_the_trace(stack: Stack, client: httpx.Client) -> None:
    trace = uuid.uuid4().hex
    accepted = client.post(
        "conversations", json={"text": "hello", "model": "small"}, headers={"traceparent": f"00-{trace}-{'1' * 16}-01"}
    )
    assert accepted.headers["x-request-id"] == trace
    run = stack.sql("SELECT trace_id FROM chat_run WHERE id = %s", accepted.json()["answer"]["run_id"])
    assert run[0]["trace_id"] == trace


def test_the_openapi_document(stack: Stack, client: httpx.Client) -> None:
    with rest_with(stack, "") as anybody:
        document = anybody.get("openapi.json").raise_for_status().json()
    assert document["openapi"].startswith("3.1")
    named = [(method, path) for path, methods in document["paths"].items() for method in methods]
    assert ("post", "/api/v1/conversations/{conversation_id}/messages") in named
    assert len(named) >= 28
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert operation["security"], (method, path)
            assert operation["summary"], (method, path)
            assert "4" in {status[0] for status in operation["responses"]}, (method, path)


def test_cookies_open_nothing(stack: Stack) -> None:
    with rest_with(stack, "") as client:
        assert client.get("conversations", headers={"Cookie": "sessionid=anything"}).status_code == 401
    with rest_with(stack, add_token(stack, scopes=["models.read"])) as client:
        refused = client.get("conversations")
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "insufficient_scope")
