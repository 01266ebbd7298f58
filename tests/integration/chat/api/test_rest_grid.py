"""Who may do what with which object by the REST API: identities by verbs, on objects of Alice's conversation."""

from __future__ import annotations

import uuid
from typing import Any

import httpx
import pytest

from tests.fixtures.api_tokens import add_token
from tests.integration.chat.api.rest_client import begin, read_answer, rest, rest_with, upload
from tests.stack import Stack

pytestmark = pytest.mark.integration

OPENAPI = "openapi.json"
READS: dict[str, tuple[str, str, Any]] = {
    "read the conversation": ("GET", "conversations/{conversation}", None),
    "read its messages": ("GET", "conversations/{conversation}/messages", None),
    "read a message": ("GET", "messages/{question}", None),
    "list the members": ("GET", "conversations/{conversation}/members", None),
    "read a file": ("GET", "files/{file}", None),
    "read a file's text": ("GET", "files/{file}/text", None),
    "download a file": ("GET", "files/{file}/content", None),
}
OWN_READS = {"read an upload": ("GET", "uploads/{upload}", None)}
WRITES: dict[str, tuple[str, str, Any]] = {
    "send": ("POST", "conversations/{conversation}/messages", {"text": "hello", "ask": False}),
    "rename": ("PATCH", "conversations/{conversation}", {"title": "Crocodiles"}),
    "pin": ("PATCH", "conversations/{conversation}", {"pinned": True}),
    "stop": ("POST", "runs/{run}/stop", None),
}
AUTHORS: dict[str, tuple[str, str, Any]] = {
    "edit the question": ("PATCH", "messages/{question}", {"text": "another text"}),
    "send a part": ("PUT", "uploads/{upload}?offset=0", b"x"),
    "finish an upload": ("POST", "uploads/{upload}/finish", None),
}
OWNERS: dict[str, tuple[str, str, Any]] = {
    "add a member": ("POST", "conversations/{conversation}/members", {"email": "nobody@example.org"}),
    "change a role": ("PATCH", "conversations/{conversation}/members/{nobody}", {"role": "viewer"}),
    "remove a member": ("DELETE", "conversations/{conversation}/members/{nobody}", None),
}
LAST: dict[str, tuple[str, str, Any]] = {  # they end something; tried by others first
    "delete a message": ("DELETE", "messages/{question}", None),
    "delete a file": ("DELETE", "files/{file}", None),
    "cancel an upload": ("DELETE", "uploads/{upload}", None),
    "delete the conversation": ("DELETE", "conversations/{conversation}", None),
    "restore it": ("POST", "conversations/{conversation}/restore", None),
}
EVERY = {**READS, **OWN_READS, **WRITES, **AUTHORS, **OWNERS, **LAST}
OK, NONE, LESS, NO, GONE = "ok", 401, "insufficient_scope", "forbidden", "not_found"


def done(client: httpx.Client, verbs: dict[str, tuple[str, str, Any]], objects: dict[str, str]) -> dict[str, Any]:
    """What each verb is answered: `OK` if it was allowed, whatever became of it, else the refusal."""
    found: dict[str, Any] = {}
    for name, (method, place, body) in verbs.items():
        sent: dict[str, Any] = {"content": body} if isinstance(body, bytes) else {"json": body} if body else {}
        response = client.request(method, place.format(**objects), **sent)
        assert response.status_code < 500, (name, response.text)
        if response.is_success:
            found[name] = OK
        else:
            error = response.json()["error"]
            # An owner's request about nobody is refused for what it asks, not for who asks.
            found[name] = OK if error["code"] in ("invalid_value", "conflict") else error["code"]
    return found


@pytest.fixture
def objects(stack: Stack) -> dict[str, str]:
    """Alice's conversation, with Bob as editor and Mallory as viewer; its question has a file. And an upload."""
    with rest(stack) as alice:
        file = upload(alice)
        accepted = begin(alice, attachments=[file["id"]])
        read_answer(alice, accepted)
        place = f"conversations/{accepted['conversation_id']}/members"
        for email, role in (("bob@example.org", "editor"), ("mallory@example.org", "viewer")):
            alice.post(place, json={"email": email, "role": role}).raise_for_status()
        begun = alice.post("uploads", json={"name": "x.txt", "size": 1}).json()
    return {
        "conversation": accepted["conversation_id"], "question": accepted["message_id"],
        "run": accepted["answer"]["run_id"], "file": file["id"], "upload": begun["id"], "nobody": str(uuid.uuid4()),
    }  # fmt: skip


def each(*groups: dict[str, Any], answer: str | int) -> dict[str, Any]:
    return {name: answer for group in groups for name in group}


def test_identity_by_verb_by_object(stack: Stack, objects: dict[str, str]) -> None:
    former = stack.add_user("Former")
    stranger = stack.add_user("Stranger")
    with rest(stack) as alice:
        place = f"conversations/{objects['conversation']}/members"
        members = alice.post(place, json={"email": former, "role": "editor"}).json()["data"]
        alice.delete(f"{place}/{next(one['id'] for one in members if one['name'] == 'Former')}").raise_for_status()
    found, wanted = {}, {}
    with rest_with(stack, "") as nobody:
        for method, where, _body in (READS["read a message"], WRITES["send"], LAST["delete the conversation"]):
            assert nobody.request(method, where.format(**objects)).status_code == NONE  # before anything is looked up
    owner_less = {
        "reader": (["conversations.read"], {**each(EVERY, answer=LESS), **each(READS, OWN_READS, answer=OK)}),
        "asks models only": (["chat", "models.read", "usage.read"], each(EVERY, answer=LESS)),
    }
    for name, (scopes, answers) in owner_less.items():
        with rest_with(stack, add_token(stack, scopes=scopes)) as client:
            found[name], wanted[name] = done(client, EVERY, objects), answers
    own = each(OWN_READS, answer=GONE)
    others = {
        "stranger": (stranger, each(EVERY, answer=GONE)),
        "former member": (former, each(EVERY, answer=GONE)),
        "viewer": ("mallory@example.org", {
            **each(EVERY, answer=NO), **each(READS, answer=OK), **own,
            **each({"send a part": 0, "finish an upload": 0, "delete a file": 0, "restore it": 0}, answer=GONE),
            "cancel an upload": OK,
        }),
        "editor": ("bob@example.org", {
            **each(READS, WRITES, answer=OK), **own, **each(AUTHORS, OWNERS, LAST, answer=NO),
            **each({"send a part": 0, "finish an upload": 0, "delete a file": 0, "restore it": 0}, answer=GONE),
            "cancel an upload": OK,
        }),
    }  # fmt: skip
    for name, (email, answers) in others.items():
        with rest(stack, email) as client:
            found[name], wanted[name] = done(client, EVERY, objects), {**answers, "cancel an upload": OK}
    with rest(stack) as alice:
        assert alice.get(f"uploads/{objects['upload']}").is_success  # nobody else has cancelled it
        found["owner"], wanted["owner"] = done(alice, EVERY, objects), each(EVERY, answer=OK)
        # The upload has become a file.
        wanted["owner"] |= {"cancel an upload": OK}
    assert found == wanted


def test_every_operation_is_in_the_grid(stack: Stack) -> None:
    """Those without an object of somebody's are tried elsewhere."""
    with rest_with(stack, "") as client:
        document = client.get(OPENAPI).json()
    every = {
        (method.upper(), path.removeprefix("/api/v1/")) for path, methods in document["paths"].items()
        for method in methods
    }  # fmt: skip
    names = {"conversation": "conversation_id", "question": "message_id", "run": "run_id", "file": "file_id",
             "upload": "upload_id", "nobody": "user_id"}  # fmt: skip
    tried = set()
    for method, place, _ in EVERY.values():
        path = place.partition("?")[0]
        for name, parameter in names.items():
            path = path.replace(f"{{{name}}}", f"{{{parameter}}}")
        tried.add((method, path))
    without_object = {
        ("GET", "conversations"), ("POST", "conversations"), ("GET", "files"), ("POST", "uploads"), ("GET", "me"),
        ("GET", "usage"), ("GET", "quotas"),
    }  # fmt: skip
    asks_again = {("POST", f"messages/{{message_id}}/{verb}") for verb in ("versions", "regenerate", "continue")}
    assert every == tried | without_object | asks_again


def test_asking_again_needs_the_right_to_write(stack: Stack, objects: dict[str, str]) -> None:
    for email, code in (("mallory@example.org", NO), (stack.add_user("Other"), GONE)):
        with rest(stack, email) as client:
            for verb, body in (("versions", {"text": "x"}), ("regenerate", {})):
                refused = client.post(f"messages/{objects['question']}/{verb}", json=body)
                assert refused.json()["error"]["code"] == code, (email, verb, refused.text)
            answer = client.post(f"messages/{objects['question']}/continue")
            assert answer.json()["error"]["code"] in (code, "invalid_value"), answer.text


def test_usage_needs_its_own_scope(stack: Stack) -> None:
    for scopes, status in ((("usage.read",), 200), (("conversations",), 403)):
        with rest(stack, scopes=scopes) as client:
            assert [client.get(where).status_code for where in ("usage", "quotas", "me")] == [status, status, 200]
