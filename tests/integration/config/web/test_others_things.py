"""Every address of the pages with the id of something, asked by those who may not have it, over GET and POST."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.utils import timezone

from accounts.models import User
from chat import urls
from chat.models import Conversation, Member, Message, Preset, Prompt, Run, ShareLink, ToolCall, ToolFile, ToolServer
from chat.models.join_links import JoinLink
from tests.conftest import make_user
from tests.fixtures.called_tools import add_call, answer_with_tools
from tests.fixtures.cases import make_case, make_moderator
from tests.fixtures.conversation_rows import make_conversation

pytestmark = [pytest.mark.usefixtures("clean_redis", "db", "one_model"), pytest.mark.timeout(240)]

MARK = "Xylomark"
KEPT = (Conversation, Message, Run, Preset, Prompt, ShareLink, ToolCall, ToolFile, ToolServer, JoinLink)
SENT = {
    "title": "Changed", "name": "changed", "text": "Changed", "reason": "other", "value": "1", "role": "owner",
    "confirm": "on", "kind": "live", "audience": "anybody", "days": "1", "answers": "never", "model": "", "on": "1",
    "folder": "", "note": "Changed", "system_prompt": "Changed", "address": "http://example.org/", "enabled": "on",
}  # fmt: skip


@pytest.fixture
def things(alice: User, settings: Any) -> dict[str, str]:
    """The ids of what Alice has, by the name of the parameter that an address has for them."""
    settings.RATE_HTTP_COMMANDS = "off"
    conversation = make_conversation(alice, 3)
    Conversation.objects.filter(pk=conversation.pk).update(title=f"{MARK} title")
    Message.objects.filter(conversation=conversation).update(text=f"{MARK} text")
    question = Message.objects.filter(conversation=conversation, role="user").order_by("created_at").last()
    assert question is not None
    run = answer_with_tools(conversation, question)
    call = add_call(run, arguments=f'{{"query": "{MARK}"}}', output=MARK)
    file = ToolFile.objects.create(
        conversation=conversation, call=call, name=f"{MARK}.txt", media_type="text/plain", size=8, content=MARK.encode()
    )
    soon = timezone.now() + timedelta(days=1)
    common = {"created_by": alice, "expires_at": soon}
    link = ShareLink.objects.create(conversation=conversation, token_hash="s", kind="live", audience="users", **common)
    JoinLink.objects.create(conversation=conversation, token_hash="j", role="editor", **common)
    preset = Preset.objects.create(owner=alice, name=f"{MARK} preset", system_prompt=MARK)
    prompt = Prompt.objects.create(owner=alice, name="xylomark", text=f"{MARK} prompt")
    server = ToolServer.objects.create(slug="xylo", title=f"{MARK} server", address="http://192.0.2.1/", owner=alice)
    case = make_case(alice, original=MARK)
    return {
        "conversation_id": str(conversation.pk), "message_id": str(question.pk), "call_id": str(call.pk),
        "file_id": str(file.pk), "link_id": str(link.pk), "preset_id": str(preset.pk), "prompt_id": str(prompt.pk),
        "server_id": str(server.pk), "case_id": str(case.pk), "user_id": str(alice.pk),
    }  # fmt: skip


def addresses(things: dict[str, str]) -> Iterator[str]:
    """Those of the pages with an id, each with Alice's; what she has none of is nobody's."""
    for one in urls.urlpatterns:
        if "<uuid:" in str(one.pattern):
            yield "/" + re.sub(
                r"<\w+:(\w+)>", lambda found: things.get(found[1], str(uuid.UUID(int=7))), str(one.pattern)
            )


Rows = dict[Any, Any]


def rows() -> Rows:
    tables: list[Any] = [*KEPT]
    return {(kind, one["id"]): one for kind in tables for one in kind._default_manager.values()}


def ask(client: Client, method: str, path: str, before: Rows) -> tuple[bytes, bool]:
    """The answer's content, and whether anything that was there before has changed; nothing of it stays."""
    with transaction.atomic():
        said: Any = client.get(path) if method == "GET" else client.post(path, SENT)
        content = b"".join(said.streaming_content) if said.streaming else said.content
        after = before if method == "GET" else rows()
        transaction.set_rollback(True)
    return content, any(after.get(key) != row for key, row in before.items())


def client_of(user: User | None) -> Client:
    client = Client(raise_request_exception=False, headers={"accept": "text/html"})
    if user is not None:
        client.force_login(user)
    return client


def removed(things: dict[str, str]) -> User:
    user = make_user("Rae")
    Member.objects.create(conversation_id=things["conversation_id"], user=user, role="editor").delete()
    return user


def staff(_: dict[str, str]) -> User:
    user = make_user("Stan")
    User.objects.filter(pk=user.pk).update(is_staff=True)
    return User.objects.get(pk=user.pk)


WHO: dict[str, Callable[[dict[str, str]], User | None]] = {
    "anonymous": lambda _: None,
    "a stranger": lambda _: make_user("Bo"),
    "a removed member": removed,
    "staff without a role": staff,
    "a moderator": lambda _: make_moderator(),
}


def test_the_owner_sees_and_changes_them(alice: User, things: dict[str, str]) -> None:
    """Otherwise what follows would prove nothing. (The conversation's own page reads on other connections, which do not
    see this transaction: `chat/views/test_pages` has it.)
    """
    client, before = client_of(alice), rows()
    seen = [path for path in addresses(things) if MARK.encode() in ask(client, "GET", path, before)[0]]
    assert len(seen) >= 8, seen
    changed = [path for path in addresses(things) if ask(client, "POST", path, before)[1]]
    assert len(changed) >= 12, changed


@pytest.mark.parametrize("who", WHO.values(), ids=WHO.keys())
def test_nobody_else_sees_or_changes_them(who: Any, things: dict[str, str]) -> None:
    client, before = client_of(who(things)), rows()
    for path in addresses(things):
        for method in ("GET", "POST"):
            content, changed = ask(client, method, path, before)
            assert MARK.encode() not in content, (method, path)
            assert not changed, (method, path)


def test_a_viewer_changes_nothing(things: dict[str, str]) -> None:
    viewer = make_user("Vi")
    Member.objects.create(conversation_id=things["conversation_id"], user=viewer, role="viewer")
    client, before = client_of(viewer), rows()
    assert [path for path in addresses(things) if ask(client, "POST", path, before)[1]] == []
