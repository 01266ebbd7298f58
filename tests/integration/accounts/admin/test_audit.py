"""The audit log: finding an entry, taking them along, and staying quick."""

from __future__ import annotations

import csv
import io
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.http import StreamingHttpResponse
from django.test import Client
from django.utils import timezone

from accounts.admin import audit
from accounts.lib.ids import lowest_uuid7, uuid7
from accounts.models import AuditEntry, User
from tests.fixtures.people import staff_client

pytestmark = pytest.mark.usefixtures("clean_redis", "db")

CONVERSATION = uuid.UUID("01a206c5-d689-726e-9509-562ef2015463")


@pytest.fixture
def sam() -> Client:
    return staff_client("view_auditentry")


def write(actor: User, verb: str, days_ago: int = 0, **facts: Any) -> AuditEntry:
    at = timezone.now() - timedelta(days=days_ago)
    id_ = uuid.UUID(int=lowest_uuid7(int(at.timestamp() * 1000)).int | uuid7().int & (1 << 62) - 1)
    entry = {"object_type": "chat.message", "object_id": str(uuid7()), "actor_email": actor.email, **facts}
    return AuditEntry.objects.create(id=id_, at=at, actor=actor, verb=verb, **entry)


@pytest.fixture
def entries(alice: User, bob: User) -> list[AuditEntry]:
    return [
        write(alice, "read_body", conversation_id=CONVERSATION),
        write(alice, "switch_off", 2, object_type="accounts.user", object_id=str(bob.pk)),
        write(bob, "top_up", 40, object_type="accounts.user", object_id=str(alice.pk), details="=1+1"),
    ]


def found(client: Client, entries: list[AuditEntry], **query: str) -> list[str]:
    response = client.get("/admin/accounts/auditentry/", query)
    assert response.status_code == 200
    html = response.content.decode()
    return [entry.verb for entry in entries if f"/auditentry/{entry.pk}/" in html]


class TestFinding:
    @pytest.mark.parametrize(
        ("query", "verbs"),
        [
            ({}, ["read_body", "switch_off", "top_up"]),
            ({"q": "ALICE@example.org"}, ["read_body", "switch_off"]),
            ({"q": "bob"}, ["top_up"]),
            ({"q": "switch"}, ["switch_off"]),
            ({"q": "read_bo"}, ["read_body"]),
            ({"q": "accounts.user alice"}, ["switch_off"]),
            ({"q": "1+1"}, ["top_up"]),
            ({"q": "nobody"}, []),
            ({"q": "'; --"}, []),
            ({"q": "top & !off | ("}, []),
            ({"q": str(CONVERSATION)}, ["read_body"]),
            ({"verb": "top_up"}, ["top_up"]),
            ({"object_type": "accounts.user"}, ["switch_off", "top_up"]),
            ({"conversation_id__exact": str(CONVERSATION)}, ["read_body"]),
        ],
    )
    def test_by(self, sam: Client, entries: list[AuditEntry], query: dict[str, str], verbs: list[str]) -> None:
        assert found(sam, entries, **query) == verbs

    def test_by_the_id_of_whom_it_was_done_to(self, sam: Client, bob: User, entries: list[AuditEntry]) -> None:
        assert found(sam, entries, q=str(bob.pk)) == ["switch_off", "top_up"]  # as object, and as actor

    @pytest.mark.parametrize(
        ("since", "until", "verbs"),
        [(3, None, ["read_body", "switch_off"]), (None, 1, ["switch_off", "top_up"]), (2, 2, ["switch_off"])],
    )
    def test_by_days(
        self, sam: Client, entries: list[AuditEntry], since: int | None, until: int | None, verbs: list[str]
    ) -> None:
        days = {"at_from": since, "at_to": until}
        query = {name: f"{timezone.localdate() - timedelta(days=ago)}" for name, ago in days.items() if ago is not None}
        assert found(sam, entries, **query) == verbs

    def test_by_days_that_are_none(self, sam: Client, entries: list[AuditEntry]) -> None:
        assert len(found(sam, entries, at_from="yesterday-ish")) == 3


def read_csv(response: Any) -> list[list[str]]:
    assert isinstance(response, StreamingHttpResponse)
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert response["Content-Disposition"].startswith('attachment; filename="audit-')
    head, *rows, last = csv.reader(io.StringIO(b"".join(response).decode()))
    assert last == [f"# rows: {len(rows)}"]
    return [head, *rows]


@pytest.mark.django_db(transaction=True)
class TestExport:
    def test_holds_what_the_list_shows(self, sam: Client, entries: list[AuditEntry]) -> None:
        head, *rows = read_csv(sam.get("/admin/accounts/auditentry/export/", {"object_type": "accounts.user"}))
        assert tuple(head) == audit.COLUMNS
        assert [row[2] for row in rows] == ["switch_off", "top_up"]

    def test_is_written_down_itself(self, sam: Client, entries: list[AuditEntry]) -> None:
        sam.get("/admin/accounts/auditentry/export/", {"verb": "top_up"})
        entry = AuditEntry.objects.order_by("-id")[0]
        assert (entry.verb, entry.object_type, entry.details) == ("export", "accounts.auditentry", "verb=top_up")

    def test_has_no_formulas(self, sam: Client, entries: list[AuditEntry]) -> None:
        _, row = read_csv(sam.get("/admin/accounts/auditentry/export/", {"verb": "top_up"}))
        assert row[audit.COLUMNS.index("details")] == "'=1+1"

    def test_goes_on_over_many_pieces(self, sam: Client, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
        for number in range(11):
            write(alice, f"verb_{number}", 20 - number)
        monkeypatch.setattr(audit, "ROWS_PER_PAGE", 3)
        _, *rows = read_csv(sam.get("/admin/accounts/auditentry/export/"))
        assert [row[2] for row in rows] == ["export", *(f"verb_{number}" for number in range(10, -1, -1))]

    def test_is_for_those_who_may_read_it(self, sam: Client) -> None:
        User.objects.get(email="sam@example.org").user_permissions.clear()
        assert sam.get("/admin/accounts/auditentry/export/").status_code == 403
        assert [entry.verb for entry in AuditEntry.objects.all()] == ["permission_refused"]


def test_quick_on_many_rows(sam: Client, alice: User) -> None:
    """50,000 entries over 100 days: every filter and search goes by an index, and by the right one."""
    first = int(timezone.now().timestamp() * 1000) - 100 * 86_400_000
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO accounts_auditentry (id, at, actor_id, actor_email, verb, object_type, object_id)
            SELECT (lpad(to_hex(%(first)s + n::bigint * 172800), 12, '0') || '7' || lpad(to_hex(n), 19, '0'))::uuid,
                now(),
                %(actor)s, CASE WHEN n %% 5000 = 0 THEN 'rare@example.org' ELSE 'sam@example.org' END,
                CASE WHEN n %% 9000 = 0 THEN 'rarely_done' ELSE 'read_body' END,
                CASE WHEN n %% 9000 = 0 THEN 'chat.rare' ELSE 'chat.message' END, 'o' || n
            FROM generate_series(1, 50000) n
            """,
            {"first": first, "actor": alice.pk},
        )
        cursor.execute("ANALYZE accounts_auditentry")
    for query, index in (
        ({}, "accounts_auditentry_pkey"),
        ({"verb": "rarely_done"}, "audit_by_verb"),
        ({"object_type": "chat.rare"}, "audit_by_type"),
        ({"object_id__exact": "o7"}, "audit_by_object"),
        ({"q": "rare@example"}, "accounts_auditentry_pkey"),
        ({"q": str(uuid.uuid4())}, "BitmapOr"),
        ({"at_to": f"{timezone.localdate() - timedelta(days=75)}"}, "accounts_auditentry_pkey"),
    ):
        request: Any = sam.get("/admin/accounts/auditentry/", query).wsgi_request
        [page] = [one for one in _registered() if isinstance(one, audit.AuditEntryAdmin)]
        plan = page.get_changelist_instance(request).get_queryset(request)[:51].explain()
        assert index in plan, f"{query}\n{plan}"
        assert "Seq Scan" not in plan, f"{query}\n{plan}"


def _registered() -> list[Any]:
    from django.contrib import admin

    return list(admin.site._registry.values())
