"""The admin: who sees what, what is written down, and how much a list asks of the database."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import AuditEntry, User
from chat.models import Conversation, Member, Message, Reasoning, Run
from tests.conftest import PASSWORD
from tests.integration.chat.admin.staff_pages import page, viewer

pytestmark = pytest.mark.usefixtures("clean_redis", "db")


QUESTION, ANSWER, TITLE, PROMPT = "Krokodil?", "<b>Alligator!</b>", "About Krokodile", "You are a zookeeper."


THOUGHT = "<i>Schnappi</i>, the little Krokodil?"


LISTS = [
    "accounts/user", "accounts/auditentry", "chat/conversation", "chat/message", "chat/run", "auth/group",
]  # fmt: skip


def make_failed_conversation(owner: User) -> Conversation:
    conversation = Conversation.objects.create(title=TITLE, system_prompt=PROMPT, model="m-1")
    Member.objects.create(conversation=conversation, user=owner, role="owner")
    question = Message.objects.create(conversation=conversation, role="user", author=owner, text=QUESTION)
    answer = Message.objects.create(
        conversation=conversation, parent=question, role="assistant", text=ANSWER, html=f"<p>{ANSWER}</p>"
    )
    run = Run.objects.create(
        conversation=conversation, prompt=question, message=answer, requested_by=owner, model="m-1", status="failed",
        finished_at=timezone.now(), error_code="upstream_timeout", error_message="No answer in 30 s.",
        reasoning_chars=len(THOUGHT), reasoning_ms=24_000, reasoning_tokens=9,
        upstream_said=f"This is not allowed: {QUESTION}",
    )  # fmt: skip
    Reasoning.objects.create(run=run, text=THOUGHT)
    return conversation


@pytest.fixture
def conversation(alice: User) -> Conversation:
    return make_failed_conversation(alice)


@pytest.fixture
def reader(db: None) -> Client:
    return viewer("read_message_body")


def pages_of(conversation: Conversation) -> list[str]:
    """The path of every page that has to do with a conversation, lists and details."""
    messages = Message.objects.filter(conversation=conversation)
    return [
        *LISTS[:-1],
        f"chat/conversation/{conversation.pk}/change",
        f"chat/conversation/{conversation.pk}/history",
        *[f"chat/message/{message.pk}/{view}" for message in messages for view in ("change", "history")],
        *[f"chat/run/{run.pk}/change" for run in Run.objects.filter(conversation=conversation)],
        *[f"accounts/user/{member.user_id}/change" for member in conversation.memberships.all()],
    ]


SECRETS = re.compile("krokodil|alligator|zookeeper|schnappi", re.IGNORECASE)


class TestBodies:
    def test_nowhere_without_the_permission(self, sam: Client, conversation: Conversation) -> None:
        for path in pages_of(conversation):
            assert not SECRETS.search(page(sam, path)), path
        assert not AuditEntry.objects.exists()

    @pytest.mark.parametrize("path", ["chat/message", "chat/conversation", "chat/run"])
    @pytest.mark.parametrize("term", ["krokodil", "alligator", "zookeeper", "schnappi", "About"])
    def test_search_does_not_look_into_them(
        self, reader: Client, conversation: Conversation, path: str, term: str
    ) -> None:
        found = page(reader, path, q=term)
        assert "/change/" not in re.sub(r"/admin/accounts/user/[^\"]*", "", found)

    @pytest.mark.parametrize(
        ("path", "lookup", "value"),
        [
            ("chat/message", "text__startswith", "K"),
            ("chat/message", "text__isnull", "False"),
            ("chat/message", "html__contains", "All"),
            ("chat/message", "conversation__title__contains", "A"),
            ("chat/message", "parent__text__contains", "K"),
            ("chat/conversation", "title__startswith", "A"),
            ("chat/conversation", "messages__text__contains", "K"),
            ("chat/conversation", "system_prompt__contains", "zoo"),
            ("chat/run", "message__text__contains", "All"),
            ("chat/run", "prompt__text__contains", "K"),
            ("accounts/user", "password__startswith", "argon2"),
            ("accounts/user", "messages__text__contains", "K"),
            ("accounts/user", "sessions__session_key__startswith", "a"),
        ],
    )
    def test_no_address_asks_about_them(
        self, sam: Client, conversation: Conversation, path: str, lookup: str, value: str
    ) -> None:
        assert sam.get(f"/admin/{path}/", {lookup: value}).status_code == 400

    def test_no_ordering_by_them(self, sam: Client, conversation: Conversation) -> None:
        with CaptureQueriesContext(
            connection,
        ) as queries:
            for number in range(12):
                page(sam, "chat/message", o=str(number))
                page(sam, "chat/conversation", o=str(number))
        assert not [q["sql"] for q in queries if re.search(r'ORDER BY.*"(text|html|title|system_prompt)"', q["sql"])]

    def test_with_the_permission_and_an_entry_each_time(self, reader: Client, conversation: Conversation) -> None:
        message = Message.objects.get(conversation=conversation, role="assistant")
        for _ in range(2):
            shown = page(reader, f"chat/message/{message.pk}/change")
            assert "&lt;b&gt;Alligator!&lt;/b&gt;" in shown
            assert "&lt;i&gt;Schnappi&lt;/i&gt;" in shown
        shown = page(reader, f"chat/conversation/{conversation.pk}/change")
        assert TITLE in shown
        assert PROMPT in shown
        run = Run.objects.get(conversation=conversation)
        assert QUESTION in page(reader, f"chat/run/{run.pk}/change")
        entries = list(
            AuditEntry.objects.order_by("id").values_list(
                "actor_email", "verb", "object_type", "object_id", "conversation_id", "ip"
            )
        )
        look = ("sam@example.org", "read_body")
        assert entries == [
            (*look, "chat.message", str(message.pk), conversation.pk, "127.0.0.1"),
            (*look, "chat.message", str(message.pk), conversation.pk, "127.0.0.1"),
            (*look, "chat.conversation", str(conversation.pk), conversation.pk, "127.0.0.1"),
            (*look, "chat.run", str(run.pk), conversation.pk, "127.0.0.1"),
        ]
        Run.objects.filter(pk=run.pk).update(upstream_said="")
        page(reader, f"chat/run/{run.pk}/change")
        assert AuditEntry.objects.count() == len(entries), "there was nothing to read"

    def test_not_shown_when_it_cannot_be_written_down(
        self, reader: Client, conversation: Conversation, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*args: Any, **kwargs: Any) -> None:
            raise DatabaseError

        monkeypatch.setattr("accounts.audit.AuditEntry.objects.create", fail)
        reader.raise_request_exception = False
        message = Message.objects.get(conversation=conversation, role="assistant")
        response = reader.get(f"/admin/chat/message/{message.pk}/change/")
        assert response.status_code == 500
        assert not SECRETS.search(response.content.decode())

    def test_lists_hold_them_for_nobody(self, reader: Client, conversation: Conversation) -> None:
        for path in LISTS[:-1]:
            assert not SECRETS.search(page(reader, path)), path

    def test_names_of_things_say_nothing(self, conversation: Conversation) -> None:
        things = [
            conversation,
            *Message.objects.all(),
            *Run.objects.all(),
            *Member.objects.all(),
            *Reasoning.objects.all(),
        ]
        assert not SECRETS.search(" ".join(f"{thing} {thing!r}" for thing in things))


class TestHistory:
    @pytest.mark.parametrize("model", ["conversation", "message", "run"])
    def test_nobody_changes_it(self, conversation: Conversation, model: str) -> None:
        root = viewer(superuser=True)
        row = {"conversation": Conversation, "message": Message, "run": Run}[model].objects.first()  # type: ignore[attr-defined]  # mypy joins them to object
        assert root.get(f"/admin/chat/{model}/add/").status_code == 403
        assert root.get(f"/admin/chat/{model}/{row.pk}/delete/").status_code == 403
        assert root.post(f"/admin/chat/{model}/{row.pk}/change/", {"text": "x", "title": "x"}).status_code == 403
        root.post(f"/admin/chat/{model}/", {"action": "delete_selected", "_selected_action": [row.pk]})
        row.refresh_from_db()

    def test_nobody_changes_the_audit_log(self, reader: Client, conversation: Conversation) -> None:
        page(reader, f"chat/conversation/{conversation.pk}/change")
        entry = AuditEntry.objects.get()
        root = Client()
        root.force_login(User.objects.create_superuser("root@example.org", PASSWORD))
        assert root.get("/admin/accounts/auditentry/add/").status_code == 403
        assert root.post(f"/admin/accounts/auditentry/{entry.pk}/change/", {"verb": "x"}).status_code == 403
        assert root.post(f"/admin/accounts/auditentry/{entry.pk}/delete/", {"post": "yes"}).status_code == 403
        for change in (lambda: entry.delete(), lambda: AuditEntry.objects.update(verb="x")):
            with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
                change()
        User.objects.get(email="sam@example.org").delete()
        assert set(AuditEntry.objects.filter(pk=entry.pk).values_list("actor_email", flat=True)) == {"sam@example.org"}
        assert "sam@example.org" in page(root, "accounts/auditentry")

    def test_submissions_are_hidden(self) -> None:
        assert viewer(superuser=True).get("/admin/chat/submission/").status_code == 404


class TestDoor:
    def test_one_login_page(self, client: Client) -> None:
        for path in ("/admin/", "/admin/login/", "/admin/chat/run/"):
            response = client.get(path, follow=True)
            assert response.redirect_chain[-1][0].startswith("/accounts/login/?next="), path
        assert client.post("/admin/login/", {"username": "a@b.c", "password": "x"}).status_code == 302

    def test_others_are_refused(self, alice: User, conversation: Conversation) -> None:
        client = Client()
        client.force_login(alice)
        for path in ["", *[f"{path}/" for path in pages_of(conversation)]]:
            assert client.get(f"/admin/{path}").status_code in (302, 403), path
        assert client.get("/admin/login/").status_code == 403

    @pytest.mark.parametrize("path", LISTS)
    def test_each_list_needs_its_permission(self, path: str) -> None:
        sam = viewer()
        User.objects.get(email="sam@example.org").user_permissions.clear()
        assert sam.get(f"/admin/{path}/").status_code == 403

    def test_policy(self, sam: Client, conversation: Conversation) -> None:
        """Scripts from here only; strings are evaluated for the admin alone; no inline style without its nonce."""
        for path in ["", *[f"{path}/" for path in pages_of(conversation)]]:
            response = sam.get(f"/admin/{path}")
            policy = dict(part.strip().partition(" ")[::2] for part in response["Content-Security-Policy"].split(";"))
            assert policy["default-src"] == "'self'"
            nonce = re.search(r"'nonce-([^']+)'", policy["style-src"])
            assert nonce, path
            assert policy.pop("style-src-attr") == "'unsafe-inline'"  # attributes only
            assert policy["script-src"] == f"'self' {nonce[0]} 'unsafe-eval'"
            assert "'unsafe" not in str({**policy, "script-src": ""})
            html = response.content.decode()
            assert all(f'nonce="{nonce[1]}"' in style for style in re.findall(r"<style[^>]*>", html))
            assert all("src=" in script for script in re.findall(r"<script[^>]*>", html))


class TestLists:
    def test_load_no_bodies(self, conversation: Conversation) -> None:
        client = viewer(superuser=True)
        for path in LISTS[:-1]:
            with CaptureQueriesContext(connection) as queries:
                page(client, path)
            columns = r'"chat_(message"\."(text|html)|conversation"\."(title|system_prompt))"'
            assert not [query["sql"] for query in queries if re.search(columns, query["sql"])], path

    @pytest.mark.parametrize(
        ("path", "query", "rows"),
        [
            ("chat/message", {"role__exact": "user"}, 1),
            ("chat/message", {"conversation__exact": "{conversation}"}, 2),
            ("chat/message", {"q": "{conversation}"}, 2),
            ("chat/message", {"q": "ALICE@example.org"}, 1),
            ("chat/message", {"q": "bob@example.org"}, 0),
            ("chat/conversation", {"q": "{conversation}"}, 1),
            ("chat/conversation", {"q": "alice@example.org"}, 1),
            ("chat/run", {"status__exact": "failed"}, 1),
            ("chat/run", {"status__exact": "done"}, 0),
            ("chat/run", {"model": "m-1"}, 1),
            ("chat/run", {"model": "m-2"}, 0),
            ("chat/run", {"q": "{conversation}"}, 1),
            ("chat/run", {"conversation__exact": "{conversation}"}, 1),
        ],
    )
    def test_filters_and_search(
        self, sam: Client, conversation: Conversation, path: str, query: dict[str, str], rows: int
    ) -> None:
        make_conversation_of_nobody()
        filled = {name: value.format(conversation=conversation.pk) for name, value in query.items()}
        html = page(sam, path, **filled)
        model = path.partition("/")[2]
        found = set(re.findall(rf"/admin/chat/{model}/([0-9a-f-]{{36}})/change/", html))
        others = {str(pk) for pk in Conversation.objects.exclude(pk=conversation.pk).values_list("pk", flat=True)}
        assert len(found - others) == rows

    def test_a_run_is_found_by_its_trace_id(self, sam: Client, conversation: Conversation) -> None:
        run = Run.objects.get()
        Run.objects.filter(pk=run.pk).update(trace_id="ab" * 16)
        assert f"/admin/chat/run/{run.pk}/change/" in page(sam, "chat/run", q="ab" * 16)
        assert f"/admin/chat/run/{run.pk}/change/" not in page(sam, "chat/run", q="cd" * 16)

    def test_run_page_answers_what_went_wrong(self, sam: Client, conversation: Conversation) -> None:
        shown = page(sam, f"chat/run/{Run.objects.get().pk}/change")
        for fact in ("upstream_timeout", "No answer in 30 s.", "m-1", "alice@example.org"):
            assert fact in shown


def make_conversation_of_nobody() -> None:
    Conversation.objects.create(title="Nothing")
