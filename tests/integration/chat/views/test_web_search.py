"""The switch of web search, the time zone that tools tell the time in, and downloads of files that tools made."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.test import Client

from accounts.lib import streaming
from accounts.models import User
from chat.catalog import tools
from chat.conversations.web_search import switch_web_search
from chat.models import Conversation, KnownTool, Member, Role, Step, StepStatus, ToolCall, ToolFile, ToolPolicy
from chat.protocol.commands import TurnOptions
from chat.protocol.errors import Forbidden, Invalid
from tests.fixtures.asking import finish, logged, share
from tests.fixtures.people import logged_in
from tests.fixtures.run_rows import say

pytestmark = pytest.mark.usefixtures("clean_redis", "db", "one_model")


def test_owners_and_editors_switch_it_and_every_tab_is_told(alice: User, bob: User, mallory: User) -> None:
    conversation = share(alice, bob)
    assert logged_in(bob).post(f"/c/{conversation.pk}/web-search/", {"on": "1"}).json() == {"web_search": True}
    conversation.refresh_from_db()
    assert conversation.web_search
    event = logged(conversation)[-1]
    assert (event["type"], event["web_search"]) == ("conversation.updated", True)
    Member.objects.filter(user=bob).update(role=Role.VIEWER)
    with pytest.raises(Forbidden):
        switch_web_search(bob.pk, conversation.pk, on=False)
    assert logged_in(mallory).post(f"/c/{conversation.pk}/web-search/", {"on": "0"}).status_code == 404
    assert logged_in(alice).get(f"/c/{conversation.pk}/web-search/").status_code == 405


def test_a_new_conversation_begins_with_it(alice: User) -> None:
    on = say(alice, options=TurnOptions(web_search=True))
    off = say(alice)
    finish(off)
    assert Conversation.objects.get(pk=on.conversation_id).web_search
    assert not Conversation.objects.get(pk=off.conversation_id).web_search
    with pytest.raises(Invalid, match="web search"):
        say(alice, "More", off.conversation_id, options=TurnOptions(web_search=True))


def shows_switch(client: Client) -> bool:
    tools.has_search.cache_clear()
    page = client.get("/").content.decode()
    button = page[page.index('id="web-search"') :].partition(">")[0]
    return not button.endswith(" hidden")


def test_it_is_shown_where_the_web_can_be_searched(alice: User) -> None:
    client = logged_in(alice)
    assert not shows_switch(client)
    KnownTool.objects.create(name="search_web", title="Search the web", effect="reads")
    assert shows_switch(client)
    ToolPolicy.objects.create(tool="search_web", rule="off")
    assert not shows_switch(client)


def test_the_browsers_time_zone_is_kept(alice: User) -> None:
    client = logged_in(alice)
    for zone in ("Asia/Tokyo", "No/Where"):
        client.cookies["timezone"] = zone
        client.get("/")
    alice.refresh_from_db()
    assert alice.time_zone == "UTC"
    client.cookies["timezone"] = "America%2FLima"
    client.get("/")
    alice.refresh_from_db()
    assert alice.time_zone == "America/Lima"


@pytest.fixture
def file(alice: User, bob: User) -> ToolFile:
    conversation = share(alice, bob)
    run = conversation.messages.get(role="assistant").runs.get()
    step = Step.objects.create(
        run=run, number=1, attempt=1, kind="tool", status=StepStatus.DONE, ended_at="2026-01-01T00:00Z"
    )
    call = ToolCall.objects.create(run=run, model_step=step, step=step, place=0, upstream_id="c", name="make_file")
    content = b"<script>alert(document.domain)</script>"
    return ToolFile.objects.create(
        conversation=conversation, call=call, name="evil \u00fc\r\n\".html", media_type="text/html", size=len(content),
        content=content,
    )  # fmt: skip


def test_members_download_a_file_in_a_sandbox(file: ToolFile, alice: User, bob: User) -> None:
    for member in (alice, bob):
        response: Any = logged_in(member).get(f"/files/{file.pk}/")
        assert response.content == b"<script>alert(document.domain)</script>"
    assert response["Content-Type"] == "application/octet-stream"
    assert response["Content-Disposition"].startswith("attachment;")
    assert "\r" not in response["Content-Disposition"]
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert "no-store" in response["Cache-Control"]


def test_a_download_of_a_large_file_ends_with_the_membership(
    file: ToolFile, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "CHECK_SECONDS", 0.0)
    content = b"0123456789abcdef" * (3 * streaming.PART // 16)
    ToolFile.objects.filter(pk=file.pk).update(content=content, size=len(content))
    whole: Any = logged_in(bob).get(f"/files/{file.pk}/")
    assert (b"".join(whole), whole["Content-Length"]) == (content, str(len(content)))
    response: Any = logged_in(bob).get(f"/files/{file.pk}/")
    parts = iter(response)
    assert next(parts) == content[: streaming.PART]
    Member.objects.filter(user=bob).delete()
    with pytest.raises(streaming.AccessLostError):
        next(parts)


def test_others_do_not(file: ToolFile, alice: User, bob: User, mallory: User) -> None:
    assert logged_in(mallory).get(f"/files/{file.pk}/").status_code == 404
    assert Client().get(f"/files/{file.pk}/").status_code in (302, 401, 403)
    assert logged_in(alice).get(f"/files/{uuid.uuid4()}/").status_code == 404
    Member.objects.filter(user=bob).delete()
    assert logged_in(bob).get(f"/files/{file.pk}/").status_code == 404
    Conversation.objects.filter(pk=file.conversation_id).update(deleted_at="2026-01-01T00:00Z")
    assert logged_in(alice).get(f"/files/{file.pk}/").status_code == 404
