"""The security policy of the conversation pages, and what a page of an error says."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from tests.fixtures.conversation_rows import make_conversation
from tests.fixtures.people import logged_in
from tests.integration.chat.views.reading import Page

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis")]


NOWHERE = uuid.UUID(int=1)


class TestPolicy:
    @pytest.mark.parametrize("path", ["/", "/c/", "/accounts/login/", "/offline/", "/nowhere/"])
    def test_every_page_keeps_a_strict_policy(self, alice: User, path: str) -> None:
        conversation = make_conversation(alice, 3)
        client = Client() if path.startswith("/accounts") else logged_in(alice)
        response = client.get(f"/c/{conversation.pk}/" if path == "/c/" else path)
        page = Page(response)
        policy = response["Content-Security-Policy"]
        rules = dict(rule.strip().partition(" ")[::2] for rule in policy.split(";"))
        assert "unsafe" not in policy
        assert rules["object-src"] == rules["base-uri"] == rules["frame-ancestors"] == "'none'"
        assert page.refused == []
        assert all(f"'nonce-{nonce}'" in rules["script-src"] for nonce in page.nonces)
        assert len(page.nonces) == (0 if path == "/offline/" else 1)  # that page is kept

    def test_no_two_pages_share_a_nonce(self, alice: User) -> None:
        client = logged_in(alice)
        assert Page(client.get("/")).nonces.isdisjoint(Page(client.get("/")).nonces)

    def test_pages_are_not_kept_by_caches(self, alice: User) -> None:
        conversation = make_conversation(alice)
        client = logged_in(alice)
        for path in ("/", f"/c/{conversation.pk}/", "/conversations/", "/sheets/"):
            assert "no-store" in client.get(path)["Cache-Control"]
            assert "private" in client.get(path)["Cache-Control"]

    def test_the_offline_page_says_nothing_about_anybody(self, alice: User) -> None:
        assert logged_in(alice).get("/offline/").content == Client().get("/offline/").content

    def test_the_service_worker_serves_the_whole_site(self) -> None:
        response = Client().get("/service-worker.js")
        assert response["Content-Type"].startswith("text/javascript")
        assert '"/offline/"' in response.content.decode()

    @pytest.mark.parametrize("path", ["/", "/conversations/", "/sheets/", "/offline/"])
    def test_reading_is_all_that_a_page_takes(self, alice: User, path: str) -> None:
        client = logged_in(alice)
        assert client.head(path).status_code == 200
        assert client.post(path).status_code == 405

    def test_a_crash_has_a_page_without_a_context(self, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
        def crash(*_args: Any, **_options: Any) -> None:
            raise RuntimeError

        monkeypatch.setattr("chat.views.conversations.members_of", crash)
        client = logged_in(alice)
        client.raise_request_exception = False
        response = client.get(f"/c/{NOWHERE}/")
        assert response.status_code == 500
        assert "Something went wrong on our end." in response.content.decode()
