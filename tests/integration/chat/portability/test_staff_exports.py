"""Lists of the admin that are exported in the background: whole, counted, for one member of staff, and for a while."""

from __future__ import annotations

import csv
import io
from datetime import timedelta

import pytest
from celery import current_app
from django.contrib.auth.models import Permission
from django.core.files.storage import default_storage
from django.test import Client
from django.utils import timezone

from accounts.models import AuditEntry, User
from accounts.staff import background
from chat.models import ModerationCase, StaffExport
from chat.portability import staff_exports, transfers
from chat.portability.staff_exports import run_staff_export
from chat.retention.purge import purge
from tests.fixtures.people import logged_in, staff_client

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis")]


@pytest.fixture(autouse=True)
def published(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    sent: list[tuple[str, str]] = []
    monkeypatch.setattr(current_app, "send_task", lambda task, args, **_: sent.append((task, args[0])))
    monkeypatch.setattr(background, "LONG", 2)
    return sent


@pytest.fixture
def root(db: None) -> Client:
    return staff_client(superuser=True)


def people(count: int) -> None:
    User.objects.bulk_create(User(email=f"p{number}@example.org", name="=1+1") for number in range(count))


def ask(client: Client, query: str = "") -> StaffExport:
    answer = client.post(f"/admin/accounts/user/export/?{query}", {"format": "0"})
    assert answer["Location"] == "/admin/exports/", answer.content
    return StaffExport.objects.order_by("-created_at")[0]


def table(client: Client, job: StaffExport) -> list[list[str]]:
    answer = client.get(f"/admin/exports/{job.pk}/")
    assert answer.status_code == 200
    data = answer.getvalue()
    assert answer["Content-Length"] == str(len(data))
    return list(csv.reader(io.StringIO(data.decode("utf-8-sig"))))


def test_a_long_list_is_made_by_a_worker(root: Client, published: list[tuple[str, str]]) -> None:
    people(5)
    job = ask(root, "q=p")
    assert published == [(transfers.STAFF_EXPORT_TASK, str(job.pk))]
    assert "waiting" in root.get("/admin/exports/").content.decode()
    run_staff_export(job.pk)
    job.refresh_from_db()
    assert (job.state, job.done) == ("done", 5)
    shown = root.get("/admin/exports/").content.decode()
    assert f"/admin/exports/{job.pk}/" in shown
    assert "is ready." in root.get("/admin/").content.decode(), "a notice on the first page"
    *lines, last = table(root, job)
    assert last == ["# rows: 5"]
    assert len(lines) == 6
    assert {line[1] for line in lines[1:]} == {"'=1+1"}, "the list's filter, and no formulas"
    assert "is ready." not in root.get("/admin/").content.decode()
    verbs = list(AuditEntry.objects.order_by("pk").values_list("verb", flat=True))
    assert verbs == ["export", "download_export"]


def test_a_short_list_comes_at_once(root: Client) -> None:
    answer = root.post("/admin/accounts/user/export/?q=sam", {"format": "0"})
    assert answer["Content-Type"].startswith("text/csv")
    assert answer.getvalue().decode().endswith("# rows: 1\r\n")
    assert not StaffExport.objects.exists()


def test_the_audit_log_and_cases_too(root: Client, alice: User) -> None:
    for _ in range(4):
        AuditEntry.objects.create(actor_email="x@example.org", verb="read_body", object_type="a.b", object_id="1")
    root.get("/admin/accounts/auditentry/export/?verb=read_body")
    [job] = StaffExport.objects.all()
    run_staff_export(job.pk)
    assert table(root, job)[-1] == ["# rows: 4"]
    for number in range(4):
        ModerationCase.objects.create(
            target="message", target_id=alice.pk, person=alice, direction="asked", origin="rule", action="flag",
            original="secret words", status="decided" if number else "open",
            decided_at=timezone.now() if number else None,
        )  # fmt: skip
    answer = root.get("/admin/chat/moderationcase/export/?status=decided")
    assert answer["Location"] == "/admin/exports/"
    job = StaffExport.objects.order_by("-created_at")[0]
    run_staff_export(job.pk)
    rows = table(root, job)
    assert rows[-1] == ["# rows: 3"]
    assert "secret words" not in str(rows)


def test_only_who_asked_gets_it(root: Client, alice: User) -> None:
    people(5)
    job = ask(root)
    run_staff_export(job.pk)
    alice.is_staff = alice.is_superuser = True
    alice.save()
    other = logged_in(alice)
    assert other.get(f"/admin/exports/{job.pk}/").status_code == 404
    assert other.post(f"/admin/exports/{job.pk}/delete/").status_code == 404
    assert str(job.pk) not in other.get("/admin/exports/").content.decode()


def test_who_may_not_export_any_more_gets_nothing(published: list[tuple[str, str]]) -> None:
    client = staff_client("view_user", "export_lists")
    people(5)
    job = ask(client)
    sam = User.objects.get(email="sam@example.org")
    sam.user_permissions.remove(Permission.objects.get(codename="export_lists"))
    run_staff_export(job.pk)
    job.refresh_from_db()
    assert (job.state, job.error) == ("failed", staff_exports.NOT_ALLOWED)
    assert not job.file
    assert "permission to export" in client.get("/admin/exports/").content.decode()


def test_it_expires_with_its_file(root: Client) -> None:
    people(5)
    job = ask(root)
    run_staff_export(job.pk)
    job.refresh_from_db()
    stored = str(job.file)
    assert default_storage.exists(stored)
    StaffExport.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert root.get(f"/admin/exports/{job.pk}/").status_code == 404
    list(purge())
    assert not StaffExport.objects.exists()
    assert not default_storage.exists(stored)


def test_a_worker_that_is_to_end_gives_it_back(root: Client, published: list[tuple[str, str]]) -> None:
    people(5)
    job = ask(root)
    run_staff_export(job.pk, lambda: True)
    job.refresh_from_db()
    assert (job.state, job.attempt) == ("waiting", 0)
    assert len(published) == 2, "published again"
    run_staff_export(job.pk)
    job.refresh_from_db()
    assert job.state == "done"


def test_what_is_deleted_meanwhile_leaves_no_file(root: Client) -> None:
    people(5)
    job = ask(root)
    assert root.post(f"/admin/exports/{job.pk}/delete/").status_code == 302
    run_staff_export(job.pk)
    assert not StaffExport.objects.exists()


def test_three_at_once(root: Client) -> None:
    people(5)
    for _ in range(3):
        ask(root)
    shown = root.post("/admin/accounts/user/export/", {"format": "0"}, follow=True).content.decode()
    assert "Three of your exports" in shown
    assert StaffExport.objects.count() == 3
