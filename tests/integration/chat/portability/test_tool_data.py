"""What tools were given and returned, where data leaves or goes: exports, copies, share links, erasure, clean-up."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import User
from chat.conversations.copying import fork
from chat.eventlog.payloads import message_dict
from chat.eventlog.tool_events import read_steps
from chat.eventlog.withheld_steps import without_contents
from chat.models import Conversation, Member, Message, Role, Run, ShareLink, ToolApproval, ToolCall, ToolFile
from chat.moderation.rewriting import rewrite_message
from chat.portability.export import conversation_data, export_user_data
from chat.portability.markdown_export import to_markdown
from chat.retention.erasure import erase
from chat.retention.purge import purge
from chat.shares.frozen import freeze
from chat.shares.reading import read_shared
from tests.fixtures.called_tools import add_call, answer_with_tools

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis")]

SOURCES = [{"n": 1, "title": "Light *here*", "url": "https://example.org/a", "passage": "43 %"}]
CONTENT = b"day,light\n1,43\n"


@pytest.fixture
def run(alice: User) -> Run:
    """Alice's answer with two calls, of which the first found a source and made a file."""
    conversation = Conversation.objects.create(title="Mars")
    Member.objects.create(conversation=conversation, user=alice, role=Role.OWNER)
    question = Message.objects.create(conversation=conversation, role="user", author=alice, text="Light?")
    made = answer_with_tools(conversation, question)
    call = add_call(made, output="a krokodil", output_chars=10, sources=SOURCES, queries=["light on Mars"])
    ToolFile.objects.create(
        conversation=conversation, call=call, name="light.csv", media_type="text/csv", size=len(CONTENT),
        content=CONTENT,
    )  # fmt: skip
    add_call(made, "send_mail", title="Send a mail", server="office", status="denied", decision="deny",
             decided_by=alice, started_at=None)  # fmt: skip
    Conversation.objects.filter(pk=conversation.pk).update(tip=made.message)
    return made


def member(run: Run, user: User) -> Member:
    return Member.objects.select_related("conversation").get(conversation=run.conversation, user=user)


def contents(run: Run) -> list[tuple[str, str]]:
    return list(ToolCall.objects.filter(run=run).order_by("step__number").values_list("arguments", "output"))


def test_an_export_has_calls_sources_and_files(run: Run, alice: User) -> None:
    answer = conversation_data(member(run, alice))["messages"][1]
    [first, second] = [step["calls"][0] for step in answer["steps"]]
    assert first["arguments"] == '{"query": "krokodil"}'
    assert first["output"] == "a krokodil"
    assert first["sources"] == SOURCES
    assert base64.b64decode(first["files"][0]["content_base64"]) == CONTENT
    assert (second["status"], second["decision"], second["decided_by"]) == ("denied", "deny", "Alice")
    assert "steps" not in conversation_data(member(run, alice))["messages"][0]
    text = to_markdown(member(run, alice))
    assert "> Tool: Search the web\n> Tool: Send a mail (Denied)" in text
    assert "1. Light \\*here\\* <https://example.org/a>" in text
    assert "Files: light.csv" in text


def test_an_export_leaves_out_files_that_are_too_large(run: Run, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chat.portability.steps.MAX_FILE_BYTES", len(CONTENT) - 1)
    answer = conversation_data(member(run, alice))["messages"][1]
    [file] = answer["steps"][0]["calls"][0]["files"]
    assert file == {"name": "light.csv", "media_type": "text/csv", "size": len(CONTENT), "content_base64": None}


def test_reading_steps_reads_no_file(run: Run, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(4) as queries:
        read_steps([run.pk])
    assert not [query["sql"] for query in queries if '"content"' in query["sql"]]


def test_a_person_s_export_has_what_they_decided(run: Run, alice: User) -> None:
    ToolApproval.objects.create(user=alice, server="office", tool="send_mail")
    data = json.loads("".join(export_user_data(alice)))
    assert [one["tool"] for one in data["tool_approvals"]] == ["office/send_mail"]
    assert [(one["tool"], one["decision"]) for one in data["tool_decisions"]] == [("send_mail", "deny")]


@pytest.mark.parametrize("change", ["block", "deleted"])
def test_a_withheld_or_deleted_answer_takes_its_calls_contents_along(run: Run, alice: User, change: str) -> None:
    moderation = {"action": "block", "reason": "x", "case_id": ""} if change == "block" else {}
    rewrite_message(run.message_id, "", moderation, reasoning="")
    assert contents(run) == [("", ""), ("", "")]
    assert not ToolFile.objects.exists()
    assert ToolCall.objects.filter(run=run).count() == 2
    if change == "block":
        assert "steps" not in conversation_data(member(run, alice))["messages"][1]
        assert "Tool:" not in to_markdown(member(run, alice))


def test_an_edit_or_a_release_leaves_the_calls_as_they_are(run: Run) -> None:
    rewrite_message(run.message_id, "Another text", {})
    assert contents(run)[0] == ('{"query": "krokodil"}', "a krokodil")


def test_a_withheld_answer_shows_that_tools_were_called_and_no_more(run: Run) -> None:
    shown = without_contents(read_steps([run.pk])[run.pk])
    call = next(step["calls"][0] for step in shown if "calls" in step)
    assert call["title"] == "Search the web"
    assert not {"arguments", "output", "sources", "queries", "files"} & set(call)
    assert "steps" not in (message_dict(run.message, run)["run"] or {})


def test_a_fork_shows_the_same_steps(run: Run, alice: User) -> None:
    copy = fork(alice.pk, run.message_id)
    copied = Run.objects.get(conversation=copy)
    assert contents(copied) == contents(run)
    assert not {one.pk for one in copied.calls.all()} & {one.pk for one in run.calls.all()}

    def shown(one: Run) -> list[Any]:
        steps = read_steps([one.pk])[one.pk]
        for call in (call for step in steps for call in step.get("calls", ())):
            for name in ("call_id", "files", "decision", "by", "edited"):
                call.pop(name, None)
        return steps

    assert shown(copied) == shown(run)
    assert [bytes(file.content) for file in ToolFile.objects.filter(conversation=copy)] == [CONTENT]
    assert not copied.calls.exclude(decided_by=None).exists()


@pytest.mark.parametrize("kind", ["snapshot", "live"])
@pytest.mark.parametrize("tools", [False, True])
def test_a_share_shows_calls_only_if_its_sharer_chose_to(run: Run, alice: User, tools: bool, kind: str) -> None:
    link = ShareLink.objects.create(
        conversation=run.conversation, token_hash=kind, kind=kind, audience="users", created_by=alice,
        expires_at=timezone.now() + timedelta(days=1), show_tools=tools,
    )  # fmt: skip
    if kind == "snapshot":
        freeze(link, run.message_id)
    shared = read_shared(link).messages[1]
    shown = json.dumps(shared)
    assert ("krokodil" in shown) == tools
    assert ("Send a mail" in shown) == tools
    assert "https://example.org/a" in shown, "sources are part of the answer"
    assert "light.csv" not in shown
    assert "Alice" not in shown


def test_an_erased_person_s_calls_are_blanked_where_others_stay(run: Run, alice: User, bob: User) -> None:
    Member.objects.create(conversation=run.conversation, user=bob, role=Role.EDITOR)
    ToolApproval.objects.create(user=alice, tool="search_web")
    asked = Message.objects.create(
        conversation=run.conversation, parent=run.message, role="user", author=bob, text="And?"
    )
    others = answer_with_tools(run.conversation, asked)
    add_call(others, output="for Bob")
    erased = erase(alice)
    assert (erased.tool_calls_blanked, erased.tool_approvals_deleted) == (2, 1)
    assert contents(run) == [("", ""), ("", "")]
    assert contents(others) == [('{"query": "krokodil"}', "for Bob")]
    assert not ToolFile.objects.exists()
    assert not ToolApproval.objects.exists()
    assert not ToolCall.objects.exclude(decided_by=None).exists()


def test_a_deleted_conversation_takes_its_calls_along(run: Run) -> None:
    run.conversation.delete()
    assert not ToolCall.objects.exists()
    assert not ToolFile.objects.exists()


def test_results_are_kept_as_long_as_the_site_wants(run: Run, settings: Any) -> None:
    ToolCall.objects.update(created_at=timezone.now() - timedelta(days=8))
    ToolCall.objects.update(ended_at=timezone.now() - timedelta(days=8))
    assert settings.KEEP_TOOL_OUTPUT_DAYS is None
    list(purge())
    assert contents(run)[0] == ('{"query": "krokodil"}', "a krokodil")
    settings.KEEP_TOOL_OUTPUT_DAYS = 9
    list(purge())
    assert contents(run)[0] == ('{"query": "krokodil"}', "a krokodil")
    settings.KEEP_TOOL_OUTPUT_DAYS = 7
    assert sum(one.kind == "tool_outputs" for one in purge()) == 1
    assert contents(run)[0] == ('{"query": "krokodil"}', "")
    assert not ToolFile.objects.exists()
    assert ToolCall.objects.get(name="search_web").sources == SOURCES
    assert sum(one.kind == "tool_outputs" for one in purge()) == 0
