"""Staff's pages of tools: calls and who reads them, tools on and off, policies, figures, the switch that stops all."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import Group

from accounts.models import AuditEntry, User
from chat.models import Conversation, KnownTool, Member, Message, Run, ToolCall, ToolPolicy, ToolSwitch
from chat.runs import tool_switch
from chat.runs.tool_switch import switch_tools, tools_stopped
from tests.conftest import make_user
from tests.fixtures.called_tools import add_call, answer_with_tools
from tests.fixtures.people import staff_client

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clean_redis")]


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    tool_switch.forget()
    yield
    tool_switch.forget()


@pytest.fixture
def run() -> Run:
    alice = make_user("Alice")
    conversation = Conversation.objects.create(title="x")
    Member.objects.create(conversation=conversation, user=alice, role="owner")
    question = Message.objects.create(conversation=conversation, role="user", author=alice, text="?")
    return answer_with_tools(conversation, question)


def test_reading_a_call_needs_a_permission_and_is_recorded(run: Run) -> None:
    call = add_call(run, output="A secret result", server="tracker")
    page = f"/admin/chat/toolcall/{call.pk}/change/"
    seeing = staff_client("view_toolcall")
    listed = seeing.get("/admin/chat/toolcall/").content.decode()
    assert "search_web" in listed
    assert "tracker" in listed
    shown = seeing.get(page).content.decode()
    assert "krokodil" not in shown
    assert "secret" not in shown
    assert not AuditEntry.objects.filter(verb="read_body").exists()
    User.objects.filter(email="sam@example.org").delete()
    reading = staff_client("view_toolcall", "read_toolcall_content")
    shown = reading.get(page).content.decode()
    assert "krokodil" in shown
    assert "A secret result" in shown
    read = AuditEntry.objects.get(verb="read_body")
    assert (read.object_id, read.conversation_id) == (str(call.pk), run.conversation_id)


def test_calls_are_found_by_tool_server_status_and_person(run: Run) -> None:
    add_call(run)
    add_call(run, "list_issues", server="tracker", status="error")
    KnownTool.objects.create(name="list_issues", server="tracker", title="List issues")
    client = staff_client("view_toolcall")

    def found(**query: str) -> list[str]:
        answer = client.get("/admin/chat/toolcall/", query)
        return sorted(row.name for row in answer.context["cl"].result_list)

    assert found() == ["list_issues", "search_web"]
    assert found(tool="tracker/list_issues") == ["list_issues"]
    assert found(server="-") == ["search_web"]
    assert found(status__exact="error") == ["list_issues"]
    assert found(q="alice@example.org") == ["list_issues", "search_web"]
    assert found(q=str(run.pk)) == ["list_issues", "search_web"]
    assert found(run__requested_by__exact=str(run.requested_by_id)) == ["list_issues", "search_web"]
    assert found(run__requested_by__exact="nobody") == []
    assert client.get("/admin/chat/toolcall/", {"arguments__contains": "krokodil"}).status_code == 400


def test_tools_are_switched_off_for_everybody(run: Run) -> None:
    tool = KnownTool.objects.create(name="search_web", title="Search the web")
    client = staff_client("view_knowntool", "change_knowntool")
    answer = client.post("/admin/chat/knowntool/", {"action": "switch_off", "_selected_action": [tool.pk]}, follow=True)
    assert "1 tool was changed." in answer.content.decode()
    tool.refresh_from_db()
    assert not tool.enabled
    assert AuditEntry.objects.get(verb="disable_tool").details == "search_web: disabled"
    assert client.get("/admin/chat/knowntool/add/").status_code == 403
    assert client.get(f"/admin/chat/knowntool/{tool.pk}/delete/").status_code == 403
    seeing = client.get("/admin/chat/knowntool/?offered=no").context["cl"].result_list
    assert [row.name for row in seeing] == ["search_web"]


def test_a_policy_names_a_tool_that_exists() -> None:
    KnownTool.objects.create(name="list_issues", server="tracker", title="List issues")
    group = Group.objects.create(name="interns")
    client = staff_client("view_toolpolicy", "add_toolpolicy")
    given = {"group": group.pk, "server": "tracker", "tool": "list_isues", "rule": "always"}
    assert "This server has no such tool" in client.post("/admin/chat/toolpolicy/add/", given).content.decode()
    assert client.post("/admin/chat/toolpolicy/add/", {**given, "tool": "list_issues"}).status_code == 302
    assert ToolPolicy.objects.get().group == group
    assert AuditEntry.objects.filter(verb="add").count() == 1


def test_a_policy_for_all_tools() -> None:
    client = staff_client("view_toolpolicy", "add_toolpolicy")
    given = {"server": "*", "tool": "make_file", "rule": "always"}
    assert "must not name a tool" in client.post("/admin/chat/toolpolicy/add/", given).content.decode()
    assert client.post("/admin/chat/toolpolicy/add/", {**given, "tool": ""}).status_code == 302
    assert ToolPolicy.objects.get().server == "*"


def test_all_tools_are_stopped_at_once_and_run_again(run: Run) -> None:
    assert tools_stopped() is None
    client = staff_client("view_toolcall", "change_toolswitch", "view_dashboard")
    assert "Stop all tools" in client.get("/admin/tools/").content.decode()
    assert not ToolSwitch.objects.filter(stopped=True).exists()
    asked = client.get("/admin/tools/stop/")
    assert "No tool call will start" in asked.content.decode()
    assert tools_stopped() is None
    client.post("/admin/tools/stop/", {"reason": "A server  misbehaves."})
    tool_switch.forget()  # a test's transaction commits nothing
    assert tools_stopped() == "Tools are switched off for now. A server misbehaves."
    assert AuditEntry.objects.get(verb="stop_tools").details == "A server  misbehaves."
    for page in ("/admin/tools/", "/admin/"):
        assert "All tools are stopped" in client.get(page).content.decode()
    assert client.get("/admin/tools/start/").status_code == 403
    client.post("/admin/tools/start/")
    tool_switch.forget()
    assert tools_stopped() is None
    assert AuditEntry.objects.filter(verb="start_tools").count() == 1


def test_only_staff_with_the_permission_stop_tools() -> None:
    client = staff_client("view_toolcall")
    assert "Stop all tools" not in client.get("/admin/tools/").content.decode()
    assert client.get("/admin/tools/stop/").status_code == 403
    assert client.post("/admin/tools/stop/", {"reason": ""}).status_code == 403
    assert client.post("/admin/tools/start/").status_code == 403
    assert tools_stopped() is None


def test_the_switch_is_read_at_most_twice_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("chat.runs.tool_switch.time.monotonic", lambda: now)
    assert tools_stopped() is None
    ToolSwitch.objects.update_or_create(pk=1, defaults={"stopped": True, "reason": ""})
    assert tools_stopped() is None
    now += tool_switch.FRESH_SECONDS
    assert tools_stopped() == "Tools are switched off for now."
    assert switch_tools(False, "", None)
    assert not switch_tools(False, "", None)


def test_figures_say_how_often_tools_fail_and_how_long_they_take(run: Run) -> None:
    add_call(run)
    add_call(run, status="error")
    add_call(run, "list_issues", server="tracker", status="unknown")
    client = staff_client("view_toolcall")
    shown = " ".join(client.get("/admin/tools/?days=1").content.decode().split())
    assert "tracker/list_issues" in shown
    assert "1 (50 %)" in shown
    assert "Unknown outcome" in shown
    assert "?tool=search_web" in shown
    ToolCall.objects.all().delete()
    assert "No calls in this period" in client.get("/admin/tools/").content.decode()
