"""Images in requests, by the official client: to the model in their turns, as files of their user."""

from __future__ import annotations

import base64
import uuid
from typing import Any

import httpx
import openai
import pytest

from tests.fakes.openai_server import FakeOpenAI
from tests.integration.chat.api.asking import eventually
from tests.made_files import image
from tests.stack import Stack

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def fresh(upstream: FakeOpenAI) -> None:
    upstream.reset()


def data_url(colour: str = "red", kind: str = "png") -> str:
    return f"data:image/{kind};base64,{base64.b64encode(image(kind=kind.upper(), colour=colour)).decode()}"


def seen(upstream: FakeOpenAI) -> list[tuple[str, list[str]]]:
    """Of the last request to the model: each message's text, and its images."""
    found = []
    for message in upstream.wait_chats(1)[-1].body["messages"]:
        content = message["content"]
        parts: list[dict[str, Any]] = [{"type": "text", "text": content}] if isinstance(content, str) else content
        text = "".join(one.get("text", "") for one in parts)
        found.append((text, [one["image_url"]["url"] for one in parts if one["type"] == "image_url"]))
    return found


def files(stack: Stack) -> list[dict[str, Any]]:
    return stack.sql(
        "SELECT f.name, b.media_type, b.kind, u.email, f.conversation_id IS NOT NULL AS kept FROM chat_file f"
        " JOIN chat_blob b ON b.id = f.blob_id JOIN accounts_user u ON u.id = f.owner_id ORDER BY f.created_at, f.name"
    )


def test_in_their_turns(client: openai.OpenAI, upstream: FakeOpenAI, stack: Stack) -> None:
    before = len(files(stack))
    messages: Any = [
        {"role": "user", "content": [
            {"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": data_url("red")}},
        ]},
        {"role": "assistant", "content": "A red square."},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": data_url("blue", "jpeg")}}]},
    ]  # fmt: skip
    made = client.chat.completions.create(model="small", messages=messages)
    assert made.choices[0].message.content
    first, second, third = seen(upstream)
    assert (first[0], len(first[1])) == ("What is it?", 1)
    assert (second[0], second[1]) == ("A red square.", [])
    assert len(third[1]) == 1
    assert first[1] != third[1]
    new = files(stack)[before:]
    assert [(row["kind"], row["email"], row["kept"]) for row in new] == [("image", "alice@example.org", True)] * 2


def test_a_response_that_follows_has_them_again(client: openai.OpenAI, upstream: FakeOpenAI) -> None:
    given: Any = [{"role": "user", "content": [
        {"type": "input_text", "text": "What is it?"}, {"type": "input_image", "image_url": data_url("green")},
    ]}]  # fmt: skip
    first = client.responses.create(model="small", input=given)
    shown = seen(upstream)[0][1]
    client.responses.create(model="small", input="And its colour?", previous_response_id=first.id)
    again = seen(upstream)
    assert (again[0][0], again[0][1], again[-1]) == ("What is it?", shown, ("And its colour?", []))


def test_a_repeated_request_stores_nothing_again(ask: Any, plain: httpx.Client, stack: Stack) -> None:
    content = [{"type": "text", "text": "hi"}, {"type": "image_url", "image_url": {"url": data_url("yellow")}}]
    body = {"model": "small", "messages": [{"role": "user", "content": content}]}
    key = {"Idempotency-Key": uuid.uuid4().hex}
    before = len(files(stack))
    answers = [plain.post("chat/completions", json=body, headers=key) for _ in range(2)]
    assert [one.status_code for one in answers] == [200, 200], answers[1].text
    assert answers[0].json()["id"] == answers[1].json()["id"]
    assert len(files(stack)) == before + 1


@pytest.mark.parametrize(
    ("role", "part", "code"),
    [
        ("user", {"type": "image_url", "image_url": {"url": "https://example.org/x.png"}}, "unsupported_content"),
        ("user", {"type": "image_url", "image_url": {"url": "data:image/png;base64,*"}}, "invalid_value"),
        ("user", {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGVsbG8="}}, "unsupported_content"),
        ("user", {"type": "image_url"}, "unsupported_content"),
        ("user", {"type": "input_audio", "input_audio": {}}, "unsupported_content"),
        (
            "system",
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGVsbG8="}},
            "unsupported_content",
        ),
    ],
)
def test_refused(plain: httpx.Client, role: str, part: dict[str, Any], code: str) -> None:
    messages = [{"role": role, "content": [part]}, {"role": "user", "content": "hello"}]
    refused = plain.post("chat/completions", json={"model": "small", "messages": messages})
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, code), refused.text


def test_too_many(plain: httpx.Client) -> None:
    content = [{"type": "image_url", "image_url": {"url": data_url()}}] * 11
    refused = plain.post(
        "chat/completions", json={"model": "small", "messages": [{"role": "user", "content": content}]}
    )
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "too_large"), refused.text


def say_that_it_sees(stack: Stack, sees: str) -> None:
    """What staff say of the model "large"."""
    code = f"KnownModel.objects.update_or_create(name='large', defaults={{'sees': {sees}}})"
    stack.manage("shell", "--no-imports", "--command", f"from chat.models import KnownModel\n{code}")


def test_a_model_that_does_not_see(plain: httpx.Client, stack: Stack) -> None:
    say_that_it_sees(stack, "False")
    content = [{"type": "text", "text": "hi"}, {"type": "image_url", "image_url": {"url": data_url()}}]
    body = {"model": "large", "messages": [{"role": "user", "content": content}]}

    def code() -> str | None:
        found: dict[str, Any] = plain.post("chat/completions", json=body).json()
        return found["error"]["code"] if "error" in found else None

    try:
        eventually(lambda: code() == "unsupported_content", 30)  # workers have read what staff decided within seconds
    finally:
        say_that_it_sees(stack, "None")
