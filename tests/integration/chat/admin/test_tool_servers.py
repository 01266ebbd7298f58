"""Staff set up tool servers: secrets that go in and never out, the test, and tools that are turned on and off."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.utils import timezone

from accounts.models import AuditEntry
from chat.admin import tool_servers as tool_servers_admin
from chat.jobs import tool_servers as ask
from chat.jobs.tool_servers import ServerReply
from chat.models import KnownTool, ServerAuth, ServerKind, ToolConnection, ToolServer
from tests.conftest import make_user
from tests.fixtures.people import staff_client

pytestmark = pytest.mark.usefixtures("db")

SERVERS = "/admin/chat/toolserver/"
RIGHTS = ("add_toolserver", "change_toolserver", "view_toolserver", "delete_toolserver", "test_toolserver")


@pytest.fixture
def sam() -> Client:
    return staff_client(*RIGHTS, "view_knowntool", "change_knowntool", "view_toolconnection", "delete_toolconnection")


def post(sam: Client, path: str, **more: Any) -> str:
    given = {
        "title": "Wiki", "slug": "wiki", "kind": "mcp_http", "address": "https://wiki.example/mcp", "enabled": "on",
        "timeout": "60", "auth": "none", "document": "", "document_address": "", "headers": "", "client_id": "",
        "client_secret": "", "scopes": "",
    }  # fmt: skip
    return sam.post(path, {**given, **more}, follow=True).content.decode()


def make(**more: Any) -> ToolServer:
    given = {"slug": "wiki", "title": "Wiki", "address": "https://wiki.example/mcp"}
    return ToolServer.objects.create(**{**given, **more})


def test_secrets_go_in_and_never_out(sam: Client) -> None:
    page = post(sam, f"{SERVERS}add/", auth="headers", headers='{"Authorization": "Bearer s3cret"}')
    assert "Now test it" in page
    row = ToolServer.objects.get()
    assert row.read_headers() == {"Authorization": "Bearer s3cret"}
    assert "Currently set: Authorization." in page
    assert "s3cret" not in page
    change = f"{SERVERS}{row.pk}/change/"
    assert "Enter them again" in post(sam, change, auth="headers", address="https://evil.example/mcp")
    post(sam, change, auth="headers", title="Renamed")
    row.refresh_from_db()
    assert row.title == "Renamed"
    assert row.read_headers() == {"Authorization": "Bearer s3cret"}, "empty keeps them"
    assert {one.verb for one in AuditEntry.objects.all()} >= {"add", "change", "set_headers"}
    assert not AuditEntry.objects.filter(details__contains="s3cret").exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"address": ""}, "Enter the address"),
        ({"address": "file:///etc/passwd"}, "must begin with http"),
        ({"address": "https://x.example/?api_key=1"}, "must not contain a key"),
        ({"kind": "mcp_stdio"}, "Select a valid choice"),
        ({"kind": "openapi"}, "Enter where the document is"),
        ({"auth": "headers"}, "Enter the headers"),
        ({"auth": "headers", "headers": "[1]"}, "Enter a JSON object"),
        ({"auth": "headers", "headers": '{"Host": "x"}'}, "cannot be the name of a header"),
        ({"auth": "headers", "headers": '{"A": "b\\nc"}'}, "one line"),
        ({"slug": "Not A Slug"}, "Use only a-z"),
        ({"timeout": "0"}, "greater than or equal to 1"),
    ],
)
def test_what_is_refused(sam: Client, given: dict[str, str], said: str) -> None:
    assert said in post(sam, f"{SERVERS}add/", **given).replace("&#x27;", "'")
    assert not ToolServer.objects.exists()


def test_a_server_that_moves_forgets_log_ins(sam: Client) -> None:
    row = make(auth=ServerAuth.OAUTH)
    ToolConnection.objects.create(user=make_user("Ann"), server=row, state="connected")
    post(sam, f"{SERVERS}{row.pk}/change/", auth="oauth", address="https://wiki.example/other")
    assert ToolConnection.objects.count() == 1, "the same server"
    post(sam, f"{SERVERS}{row.pk}/change/", auth="oauth", address="https://other.example/mcp")
    assert not ToolConnection.objects.exists()


def test_it_is_limited_to_groups(sam: Client) -> None:
    group = Group.objects.create(name="Builders")
    assert "Turn this on" in post(sam, f"{SERVERS}add/", groups=[group.pk])
    post(sam, f"{SERVERS}add/", groups=[group.pk], limited="on")
    assert list(ToolServer.objects.get().groups.all()) == [group]
    assert "Builders" in sam.get(SERVERS).content.decode()


def test_the_test_is_asked_of_a_worker(sam: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    row = make()
    KnownTool.objects.create(server="wiki", name="find", title="Find a page")
    monkeypatch.setattr(ask, "request_test", lambda id_, *_: ServerReply(id_ == row.pk, "It works: 1 tool."))
    page = sam.post(f"{SERVERS}{row.pk}/test/", follow=True).content.decode()
    assert "It works: 1 tool." in page
    assert "Find a page" in page
    row.refresh_from_db()
    assert row.test_passed
    assert AuditEntry.objects.filter(verb="test").count() == 1


def test_the_test_needs_a_permission_of_its_own() -> None:
    assert staff_client("view_toolserver").post(f"{SERVERS}{make().pk}/test/").status_code == 403


def test_a_server_of_the_settings_keeps_what_the_operator_set(sam: Client) -> None:
    row = make(kind=ServerKind.MCP_STDIO, address="")
    page = sam.get(f"{SERVERS}{row.pk}/change/").content.decode()
    assert 'name="headers"' not in page
    post(sam, f"{SERVERS}{row.pk}/change/", kind="mcp_http", address="https://evil.example", limited="on")
    row.refresh_from_db()
    assert (row.kind, row.address, row.limited) == ("mcp_stdio", "", True)


def test_a_persons_own_server_is_not_staffs_to_change(sam: Client) -> None:
    row = make(owner=make_user("Ann"))
    assert 'name="_save"' not in sam.get(f"{SERVERS}{row.pk}/change/").content.decode()
    assert sam.post(f"{SERVERS}{row.pk}/delete/", {"post": "yes"}).status_code == 302
    assert not ToolServer.objects.exists()


def test_tools_are_turned_on_and_off_and_decided(sam: Client) -> None:
    server = make()
    earlier = {"description": "Reads.", "parameters": {}, "recipe": {}, "enabled": True}
    row = KnownTool.objects.create(
        server="wiki", name="find", title="Find", description="Now <b>sends</b>.", enabled=False,
        changed_at=timezone.now(), earlier=earlier,
    )  # fmt: skip
    other = KnownTool.objects.create(server="wiki", name="new", title="New")
    assert "to review" in sam.get(SERVERS).content.decode()
    page = sam.get(f"{SERVERS}{server.pk}/change/").content.decode()
    assert "Reads." in page
    assert "Now &lt;b&gt;sends&lt;/b&gt;." in page

    def decide(**given: str) -> KnownTool:
        fields = {f"{name}-{row.pk}": value for name, value in given.items()}
        sam.post(f"{SERVERS}{server.pk}/tools/", fields, follow=True)
        row.refresh_from_db()
        return row

    decide(on="1", effect="writes", approval="ask")
    assert (row.enabled, row.changed_at, row.earlier, row.decided) == (True, None, None, False)
    decide(effect="writes", approval="ask")
    assert not row.enabled
    decide(on="1", effect="reads", approval="never")
    assert (row.enabled, row.effect, row.approval, row.decided) == (True, "reads", "never", True)
    decide(on="1", effect="reads", approval="never")
    decide(on="1", effect="all", approval="never")
    assert AuditEntry.objects.filter(verb="change", object_type="chat.knowntool").count() == 3
    other.refresh_from_db()
    assert other.enabled, "it was not on the page"


def test_turning_tools_off_needs_a_permission() -> None:
    looker = staff_client("view_toolserver", "view_knowntool")
    server = make()
    assert looker.post(f"{SERVERS}{server.pk}/tools/").status_code == 403


def test_log_ins_are_listed_and_ended_without_tokens(sam: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    row = ToolConnection(user=make_user("Ann"), server=make(), state="connected")
    row.write("tokens", {"access_token": "s3cret"})
    row.save()
    for page in ("/admin/chat/toolconnection/", f"/admin/chat/toolconnection/{row.pk}/change/"):
        shown = sam.get(page).content.decode()
        assert "Wiki" in shown
        assert "s3cret" not in shown
        assert row.encrypted_tokens not in shown
    monkeypatch.setattr(ask, "request_revoke", lambda _: ServerReply(False, "no"))
    listed = {"action": "disconnect", "_selected_action": [str(row.pk)]}
    assert (
        "not revoked at these servers: Wiki"
        in sam.post("/admin/chat/toolconnection/", listed, follow=True).content.decode()
    )
    assert not ToolConnection.objects.exists()


def test_many_log_ins_are_deleted_although_their_server_is_slow(sam: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty log-ins waited for up to 25 s each, in one request."""
    server = make()
    rows = [ToolConnection.objects.create(user=make_user(f"U{number}"), server=server) for number in range(3)]
    asked: list[Any] = []

    def request_revoke(connection_id: Any) -> ServerReply:
        asked.append(connection_id)
        return ServerReply(True)

    monkeypatch.setattr(ask, "request_revoke", request_revoke)
    monkeypatch.setattr(tool_servers_admin, "REVOKE_SECONDS", -1.0)
    listed = {"action": "disconnect", "_selected_action": [str(row.pk) for row in rows]}
    page = sam.post("/admin/chat/toolconnection/", listed, follow=True).content.decode()
    assert asked == []
    assert "3 log-ins were deleted." in page
    assert "but not revoked" in page
    assert not ToolConnection.objects.exists()
