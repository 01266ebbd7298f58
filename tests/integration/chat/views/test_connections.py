"""My connections: what is shown, log-ins that belong to one browser, and servers of one's own."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django.fixtures import Settings

from accounts.models import AuditEntry, User
from chat.jobs import tool_servers as ask
from chat.jobs.tool_servers import ServerReply
from chat.models import KnownTool, ServerAuth, ToolApproval, ToolConnection, ToolServer
from chat.portability.export import export_user_data
from tests.conftest import make_user
from tests.fixtures.people import logged_in

pytestmark = pytest.mark.usefixtures("db")

PAGE = "/connections/"


@pytest.fixture
def server() -> ToolServer:
    return ToolServer.objects.create(
        slug="wiki", title="Wiki", address="https://wiki.example/mcp", auth=ServerAuth.OAUTH
    )


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Stands in for the worker; what it was asked for."""
    asked: list[tuple[Any, ...]] = []

    def reply(name: str, **more: Any) -> Any:
        def answer(*args: Any) -> ServerReply:
            asked.append((name, *args))
            return ServerReply(True, f"{name} went well.", **more)

        return answer

    monkeypatch.setattr(ask, "request_login", reply("login", url="https://login.example/authorize?a=b"))
    for name in ("finish", "revoke", "test"):
        monkeypatch.setattr(ask, f"request_{name}", reply(name))
    return asked


def shown(browser: Client) -> str:
    return browser.get(PAGE).content.decode()


def test_only_usable_servers_are_shown_with_their_state(browser: Client, ann: User, server: ToolServer) -> None:
    ToolServer.objects.create(slug="secret", title="Secret", address="https://x.example", limited=True)
    KnownTool.objects.create(server="wiki", name="find", title="Find a page", effect="reads")
    KnownTool.objects.create(server="wiki", name="drop", title="Drop a page", enabled=False)
    page = shown(browser)
    assert "Wiki" in page
    assert "Not connected" in page
    assert "Find a page" in page
    assert "Drop a page" not in page
    assert "Secret" not in page
    assert "Add a server" not in page
    row = ToolConnection.objects.create(user=ann, server=server, state="expired", error="It ended.")
    assert "Connect again" in shown(browser)
    ToolConnection.objects.filter(pk=row.pk).update(state="connected", last_used_at=timezone.now(), scopes="read write")
    page = shown(browser)
    assert "Disconnect" in page
    assert "read write" in page


def test_a_log_in_belongs_to_the_browser_that_began_it(
    browser: Client, ann: User, server: ToolServer, worker: list[Any]
) -> None:
    page = browser.post(f"{PAGE}{server.pk}/connect/")
    assert b"https://login.example/authorize?a=b" in page.content
    assert b"Continue to login.example" in page.content
    [(_, connection_id, state, callback, whose)] = worker
    assert whose == ann.pk
    assert callback == f"http://testserver{reverse('chat:connection_callback')}"
    back = f"{PAGE}callback/?code=the-code&state={state}&iss=https://login.example"
    stranger = logged_in(make_user("Bob"))
    other = logged_in(ann)
    for wrong in (stranger, other):
        assert "was not begun in this browser" in wrong.get(back, follow=True).content.decode()
    assert len(worker) == 1
    assert "finish went well" in browser.get(back, follow=True).content.decode()
    row = ToolConnection.objects.get(pk=connection_id)
    assert row.read("pending") == {"code": "the-code", "issuer": "https://login.example"}
    assert "the-code" not in row.encrypted_pending
    assert worker[-1] == ("finish", row.pk, row.user_id)
    assert "was not begun in this browser" in browser.get(back, follow=True).content.decode(), "a state works once"


@pytest.mark.parametrize("query", ["", "state=", "state=x&code=y", "state=%ff", "code=y"])
def test_a_callback_out_of_nowhere(browser: Client, server: ToolServer, worker: list[Any], query: str) -> None:
    browser.post(f"{PAGE}{server.pk}/connect/")
    assert "was not begun" in browser.get(f"{PAGE}callback/?{query}", follow=True).content.decode()


def test_a_server_that_refuses(browser: Client, server: ToolServer, worker: list[Any]) -> None:
    browser.post(f"{PAGE}{server.pk}/connect/")
    back = f"{PAGE}callback/?error=access_denied&state={worker[0][2]}"
    assert "Wiki did not log you in" in browser.get(back, follow=True).content.decode()
    assert [one[0] for one in worker] == ["login"]


def test_disconnecting_deletes_also_where_nothing_can_be_revoked(
    browser: Client, ann: User, server: ToolServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    ToolConnection.objects.create(user=ann, server=server, state="connected")
    monkeypatch.setattr(ask, "request_revoke", lambda *_: ServerReply(False, "No worker is running."))
    page = browser.post(f"{PAGE}{server.pk}/disconnect/", follow=True).content.decode()
    assert "not revoked there" in page
    assert not ToolConnection.objects.exists()
    assert AuditEntry.objects.filter(verb="disconnect", actor=ann).count() == 1


def test_nobody_uses_what_is_anothers(browser: Client, server: ToolServer, settings: Settings) -> None:
    settings.TOOL_SERVERS_OF_USERS = True
    bobs = ToolServer.objects.create(slug="b", title="B", address="https://b.example", owner=make_user("Bob"))
    for name in ("edit", "delete"):
        assert browser.get(f"{PAGE}{bobs.pk}/{name}/").status_code == 404
        assert browser.get(f"{PAGE}{server.pk}/{name}/").status_code == 404
    for name in ("connect", "disconnect", "list", "accept"):
        assert browser.post(f"{PAGE}{bobs.pk}/{name}/").status_code == 404


class TestOwnServers:
    @pytest.fixture(autouse=True)
    def allowed(self, settings: Settings) -> None:
        settings.TOOL_SERVERS_OF_USERS = True

    def add(self, browser: Client, **more: str) -> Any:
        given = {"title": "My notes", "kind": "mcp_http", "address": "https://notes.example/mcp", "auth": "none"}
        return browser.post(f"{PAGE}new/", {**given, **more}, follow=True)

    def test_where_the_site_does_not_allow_it(self, browser: Client, settings: Settings) -> None:
        settings.TOOL_SERVERS_OF_USERS = False
        assert browser.get(f"{PAGE}new/").status_code == 404

    def test_one_with_a_token(self, browser: Client, ann: User, worker: list[Any]) -> None:
        assert "test went well" in self.add(browser, auth="headers", token="s3cret-token").content.decode()
        row = ToolServer.objects.get(owner=ann)
        assert row.slug.startswith("my-notes-")
        assert row.read_headers() == {"Authorization": "Bearer s3cret-token"}
        assert "s3cret" not in row.encrypted_headers
        form = browser.get(f"{PAGE}{row.pk}/edit/").content.decode()
        assert "s3cret" not in form
        assert "A token is stored" in form
        moved = {"title": "x", "kind": "mcp_http", "address": "https://evil.example/mcp", "auth": "headers"}
        assert "Enter the token" in browser.post(f"{PAGE}{row.pk}/edit/", moved).content.decode()
        assert "s3cret" not in "".join(export_user_data(ann))
        assert json.loads("".join(export_user_data(ann)))["tool_servers"][0]["title"] == "My notes"

    @pytest.mark.parametrize(
        ("given", "said"),
        [
            ({"address": "ftp://x.example"}, "must begin with http"),
            ({"address": "https://u:p@x.example"}, "must not contain a user name"),
            ({"address": "http://x.example", "auth": "headers", "token": "t"}, "only sent to an address with https"),
            ({"auth": "headers", "token": ""}, "Enter the token"),
            ({"auth": "headers", "token": "a\u00e4"}, "ASCII"),
            ({"kind": "mcp_stdio"}, "Select a valid choice"),
            ({"kind": "openapi", "address": ""}, "Enter where the document is"),
        ],
    )
    def test_what_is_refused(self, browser: Client, worker: list[Any], given: dict[str, str], said: str) -> None:
        assert said in self.add(browser, **given).content.decode()
        assert not ToolServer.objects.exists()

    def test_only_so_many(self, browser: Client, worker: list[Any], settings: Settings) -> None:
        settings.TOOL_SERVERS_PER_USER = 1
        self.add(browser)
        assert "the maximum number of servers" in self.add(browser).content.decode()

    def test_one_that_moves_forgets_log_ins(self, browser: Client, ann: User, worker: list[Any]) -> None:
        self.add(browser, auth="oauth")
        row = ToolServer.objects.get(owner=ann)
        ToolConnection.objects.create(user=ann, server=row, state="connected")
        moved = {"title": "x", "kind": "mcp_http", "address": "https://other.example/mcp", "auth": "oauth"}
        browser.post(f"{PAGE}{row.pk}/edit/", moved)
        assert not ToolConnection.objects.exists()

    def test_changes_are_looked_at(self, browser: Client, ann: User, worker: list[Any]) -> None:
        self.add(browser)
        slug = ToolServer.objects.get(owner=ann).slug
        earlier = {"description": "Reads.", "parameters": {}, "recipe": {}, "enabled": True}
        KnownTool.objects.create(
            server=slug, name="a", title="A", description="Sends <b>all</b>.", enabled=False,
            changed_at=timezone.now(), earlier=earlier,
        )  # fmt: skip
        page = shown(browser)
        assert "Sends &lt;b&gt;all" in page
        assert "Reads." in page
        browser.post(f"{PAGE}{ToolServer.objects.get().pk}/accept/")
        row = KnownTool.objects.get()
        assert (row.enabled, row.changed_at, row.earlier) == (True, None, None)

    def test_deleting_leaves_no_permission_behind(self, browser: Client, ann: User, worker: list[Any]) -> None:
        self.add(browser)
        row = ToolServer.objects.get(owner=ann)
        KnownTool.objects.create(server=row.slug, name="a", title="A")
        ToolApproval.objects.create(user=ann, server=row.slug, tool="a")
        assert b"Delete" in browser.get(f"{PAGE}{row.pk}/delete/").content
        browser.post(f"{PAGE}{row.pk}/delete/")
        assert not ToolServer.objects.exists()
        assert not KnownTool.objects.filter(server=row.slug).exists()
        assert not ToolApproval.objects.exists()
