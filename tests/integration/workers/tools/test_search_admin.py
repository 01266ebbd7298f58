"""Staff's page about search providers: keys are kept to their address and never shown, and a test searches once."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from accounts.models import AuditEntry
from chat.models import KnownTool
from tests.fixtures.people import staff_client
from workers.admin import search as pages
from workers.endpoints.connection_test import ConnectionTestResult
from workers.models import SearchProvider
from workers.tools.publishing import publish_own_tools

pytestmark = pytest.mark.usefixtures("clean_redis", "db")
ADD = "/admin/workers/searchprovider/add/"
KEY = "search-key-canary-7731"


@pytest.fixture
def keeper() -> Client:
    return staff_client(
        *(f"{verb}_searchprovider" for verb in ("view", "add", "change", "delete")), "test_searchprovider"
    )


def form(**values: Any) -> dict[str, Any]:
    return {"name": "Brave", "enabled": "on", "kind": "brave", "address": "", "results": "8", "price": "0.005",
            "position": "10", "api_key": KEY, **values}  # fmt: skip


def errors_of(response: Any) -> str:
    assert response.status_code == 200, "it was saved"
    return str(response.context["errors"])


def test_a_key_is_stored_encrypted_and_never_shown(keeper: Client, django_capture_on_commit_callbacks: Any) -> None:
    publish_own_tools()
    KnownTool.objects.create(name="search_web", title="Search the web", gone_at="2026-01-01T00:00Z")
    with django_capture_on_commit_callbacks(execute=True):
        assert keeper.post(ADD, form()).status_code == 302
    provider = SearchProvider.objects.get()
    assert provider.read_key() == KEY
    assert KEY not in provider.encrypted_key
    assert provider.url == "https://api.search.brave.com/res/v1/web/search"
    assert KEY not in keeper.get(f"/admin/workers/searchprovider/{provider.pk}/change/").content.decode()
    assert not any(KEY in str(entry.__dict__) for entry in AuditEntry.objects.all())
    assert KnownTool.objects.get(name="search_web").gone_at is None
    with django_capture_on_commit_callbacks(execute=True):
        keeper.post(f"/admin/workers/searchprovider/{provider.pk}/delete/", {"post": "yes"})
    assert KnownTool.objects.get(name="search_web").gone_at is not None


def test_what_cannot_be_saved(keeper: Client) -> None:
    assert "needs a key" in errors_of(keeper.post(ADD, form(api_key="")))
    assert "address of the SearXNG" in errors_of(keeper.post(ADD, form(kind="searxng", api_key="")))
    metadata = form(kind="searxng", api_key="", address="http://169.254.169.254/")
    assert "cannot be used" in errors_of(keeper.post(ADD, metadata))
    assert "one line" in errors_of(keeper.post(ADD, form(api_key="two words")))
    assert keeper.post(ADD, form(kind="searxng", api_key="", address="http://10.0.0.7:8080")).status_code == 302


def test_a_key_goes_to_no_other_address(keeper: Client) -> None:
    keeper.post(ADD, form())
    page = f"/admin/workers/searchprovider/{SearchProvider.objects.get().pk}/change/"
    moved = form(api_key="", address="https://evil.example/")
    assert "another address" in errors_of(keeper.post(page, moved))
    assert keeper.post(page, {**moved, "api_key": "new-key"}).status_code == 302


def test_the_test_button(keeper: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    keeper.post(ADD, form())
    provider = SearchProvider.objects.get()
    monkeypatch.setattr(pages, "request_search_test", lambda _id: ConnectionTestResult(False, "It refuses the key."))
    assert keeper.post(f"/admin/workers/searchprovider/{provider.pk}/test/").status_code == 302
    assert "It refuses the key." in keeper.get(f"/admin/workers/searchprovider/{provider.pk}/change/").content.decode()


def test_who_may_only_look(db: None) -> None:
    provider = SearchProvider(name="Brave", kind="brave")
    provider.set_key(KEY)
    provider.save()
    reader = staff_client("view_searchprovider")
    assert reader.post(f"/admin/workers/searchprovider/{provider.pk}/test/").status_code == 403
    shown = reader.get(f"/admin/workers/searchprovider/{provider.pk}/change/").content.decode()
    assert "Test search" not in shown
    assert "set on" in shown
