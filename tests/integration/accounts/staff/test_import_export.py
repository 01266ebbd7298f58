"""Lists in and out of files: what is in them, what a spreadsheet makes of it, and what is refused."""

from __future__ import annotations

import csv
import io
import re
from decimal import Decimal
from typing import Any

import pytest
from django.core import mail
from django.core.cache import cache
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import AuditEntry, Plan, Price, Quota, UsageEntry, User
from accounts.quotas.settlement import Used, settle_recording
from accounts.staff import import_export
from tests.conftest import PASSWORD, make_user
from tests.fixtures.people import logged_in
from tests.integration.accounts.test_roles import member

pytestmark = [pytest.mark.usefixtures("clean_redis"), pytest.mark.django_db]

LISTS = ("user", "plan", "quota", "price", "usageentry")


@pytest.fixture
def ada() -> Client:
    return logged_in(member("administrator", "Ada"))


def export(client: Client, model: str, query: str = "") -> list[dict[str, str]]:
    response: Any = client.post(f"/admin/accounts/{model}/export/{query}", {"format": "0", "resource": "0"})
    assert response.status_code == 200
    assert response["Content-Type"].startswith("text/csv"), response.content.decode()[-3000:]
    text = b"".join(response).decode("utf-8-sig")
    lines = text.splitlines(keepends=True)
    rows = list(csv.DictReader(io.StringIO("".join(lines[:-1]), newline="")))
    assert lines[-1] == f"# rows: {len(rows)}\r\n", "the last line says how many there are"
    return rows


def bring(client: Client, model: str, data: str | bytes, name: str = "rows.csv") -> Any:
    """The answer to a file: a page with the preview, or with what is wrong."""
    content = data.encode() if isinstance(data, str) else data
    form = {"import_file": SimpleUploadedFile(name, content), "format": "0", "resource": "0"}
    return client.post(f"/admin/accounts/{model}/import/", form)


def confirm(client: Client, model: str, preview: Any) -> Any:
    assert "confirm_form" in preview.context, wrong(preview)
    form = preview.context["confirm_form"].initial
    return client.post(f"/admin/accounts/{model}/process_import/", form, follow=True)


def wrong(response: Any) -> str:
    """What the page says against the file."""
    assert response.status_code == 200
    assert "confirm_form" not in response.context
    found: list[str] = list(response.context["form"].errors.get("import_file", []))
    if "result" in response.context:
        result = response.context["result"]
        found += [str(error.error) for _line, errors in result.row_errors() for error in errors]
        found += [text for row in result.invalid_rows for text in row.error.messages]
        assert "Traceback" not in response.content.decode()
    return " ".join(found)


class TestOut:
    def test_people(self, ada: Client) -> None:
        make_user("Müller")
        rows = export(ada, "user")
        assert [(row["email"], row["name"], row["groups"]) for row in rows] == [
            ("ada@example.org", "Ada", "administrator"), ("müller@example.org", "Müller", ""),
        ]  # fmt: skip
        assert not {"password", "id"} & rows[0].keys()
        entry = AuditEntry.objects.get()
        assert (entry.verb, entry.object_type) == ("export", "accounts.user")

    def test_what_the_list_shows(self, ada: Client) -> None:
        User.objects.create(email="off@example.org", is_active=False)
        assert [row["email"] for row in export(ada, "user", "?is_active__exact=0")] == ["off@example.org"]
        assert AuditEntry.objects.get().details == "is_active__exact=0"

    @pytest.mark.parametrize(
        "name", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\r=x", "\uff1d1+1", "\uff20x", "'=1", "''@x"]
    )
    def test_no_formula_and_back_again(self, ada: Client, name: str) -> None:
        user = make_user("X")
        User.objects.filter(pk=user.pk).update(name=name)
        [row] = [row for row in export(ada, "user") if row["email"] == user.email]
        assert row["name"] == f"'{name}"
        user.name = "changed"
        user.save()
        out = io.StringIO()
        csv.writer(out).writerows([["email", "name"], [user.email, row["name"]]])
        confirm(ada, "user", bring(ada, "user", out.getvalue()))
        user.refresh_from_db()
        assert user.name == name

    def test_usage_also_of_who_is_gone(self, ada: Client) -> None:
        alice = make_user("Alice")
        use = Used("m", input_tokens=3, audio_seconds=Decimal("1.5"))
        settle_recording(alice.pk, alice.pk, timezone.now(), use)
        [row] = export(ada, "usageentry")
        assert (row["email"], row["model"], row["audio_seconds"]) == ("alice@example.org", "m", "1.5")
        alice.delete()
        [row] = export(ada, "usageentry")
        assert (row["email"], row["input_tokens"]) == ("", "3")

    def test_some_rows_at_a_time(self, ada: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(import_export, "ROWS_PER_PAGE", 4)
        User.objects.bulk_create(User(email=f"{n:02}@example.org") for n in range(10))
        with CaptureQueriesContext(connection) as asked:
            rows = export(ada, "user")
        assert len({row["email"] for row in rows}) == len(rows) == 11
        reads = [query["sql"] for query in asked if re.search('FROM "accounts_user".* LIMIT 4', query["sql"])]
        assert len(reads) == 4  # 4, 4, 3, none

    @pytest.mark.parametrize("role", ["support", "moderator", "billing", ""])
    def test_for_whom(self, role: str) -> None:
        client = logged_in(member(role))
        out = {model for model in LISTS if client.get(f"/admin/accounts/{model}/export/").status_code == 200}
        into = {model for model in LISTS if client.get(f"/admin/accounts/{model}/import/").status_code == 200}
        assert out == (set(LISTS) if role == "billing" else set())
        assert into == ({"plan", "quota", "price"} if role == "billing" else set())

    def test_an_administrator_and_nobody(self, ada: Client) -> None:
        assert all(ada.get(f"/admin/accounts/{model}/export/").status_code == 200 for model in LISTS)
        assert [model for model in LISTS if ada.get(f"/admin/accounts/{model}/import/").status_code != 200] == [
            "usageentry"
        ]
        assert Client().get("/admin/accounts/user/export/").status_code == 302


class TestIn:
    def test_people_are_made_and_changed_after_a_preview(self, ada: Client) -> None:
        alice, gold = make_user("Alice"), Plan.objects.create(name="Gold")
        data = "email,name,plan\nALICE@example.org,Alicia,gold\nnew@example.org,=,\n".replace("=", "'=x")
        preview = bring(ada, "user", data)
        page = preview.content.decode()
        assert "new@example.org" in page
        alice.refresh_from_db()
        assert (alice.name, User.objects.filter(email="new@example.org").exists()) == ("Alice", False)
        done = confirm(ada, "user", preview)
        assert "1 new, 1 updated" in done.content.decode()
        alice.refresh_from_db()
        assert (alice.name, alice.plan) == ("Alicia", gold)
        new = User.objects.get(email="new@example.org")
        assert (new.name, new.has_usable_password(), new.is_staff) == ("=x", False, False)
        entry = AuditEntry.objects.get()
        assert (entry.verb, entry.object_type, entry.details) == ("import", "accounts.user", "rows.csv, 2 rows")

    def test_whoever_is_new_sets_a_password_by_mail(self, ada: Client) -> None:
        confirm(ada, "user", bring(ada, "user", "email\nnew@example.org\n"))
        Client().post("/accounts/password/reset/", {"email": "new@example.org"})
        [sent] = mail.outbox
        found = re.search(r"http://testserver(/accounts/password/open/)#(\S+)", str(sent.body))
        assert found
        client = Client()
        form = client.post(found[1], {"secret": found[2]}, follow=True)
        done = client.post(form.redirect_chain[-1][0], {"password1": PASSWORD, "password2": PASSWORD})
        assert done.status_code == 302
        assert Client().login(email="new@example.org", password=PASSWORD)

    def test_rights_do_not_come_from_files(self, ada: Client) -> None:
        make_user("Alice")
        data = "email,is_staff,groups,is_active\nalice@example.org,1,administrator,0\n"
        confirm(ada, "user", bring(ada, "user", data))
        alice = User.objects.get(email="alice@example.org")
        assert (alice.is_staff, alice.is_active, alice.groups.count()) == (False, True, 0)

    def test_nobody_out_of_reach(self, ada: Client) -> None:
        User.objects.create_superuser("root@example.org", "x", name="Root")
        assert "have permission to change root@example.org" in wrong(
            bring(ada, "user", "email,name\nroot@example.org,Mine\n")
        )

    def test_all_or_nothing(self, ada: Client) -> None:
        data = "name,time_zone\nOne,UTC\nTwo,Mars/Olympus\n"
        assert "This time zone does not exist" in wrong(bring(ada, "plan", data))
        assert not Plan.objects.filter(name="One").exists()

    def test_what_changed_since_the_preview_is_noticed(self, ada: Client) -> None:
        alice = make_user("Alice")
        preview = bring(ada, "user", "email,name\nnew@example.org,N\nalice@example.org,Alicia\n")
        alice.is_superuser = True
        alice.save()
        assert "nothing was imported" in confirm(ada, "user", preview).content.decode()
        assert not User.objects.filter(email="new@example.org").exists()

    def test_a_file_that_is_gone(self, ada: Client) -> None:
        preview = bring(ada, "user", "email\nnew@example.org\n")
        cache.clear()
        assert "Upload the file again" in confirm(ada, "user", preview).content.decode()

    @pytest.mark.parametrize("model", ["plan", "quota", "price"])
    def test_what_went_out_comes_back_in(self, ada: Client, model: str) -> None:
        plan = Plan.objects.create(name="Gold", time_zone="Europe/Berlin")
        Quota.objects.create(plan=plan, limit=Decimal("12.5"), unit="money", period="month", hard=False)
        Quota.objects.create(user=make_user("Alice"), limit=3, model="@cf/meta")
        Price.objects.create(model="m", input_per_million=Decimal("0.25"), output_per_million=2)
        rows = export(ada, model)
        out = io.StringIO()
        writer = csv.DictWriter(out, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
        preview = bring(ada, model, out.getvalue())
        assert {row.import_type for row in preview.context["result"].rows} == {"skip"}, "nothing is different"
        Quota.objects.all().delete()
        Price.objects.all().delete()
        if model == "plan":
            Plan.objects.filter(name="Gold").delete()
        confirm(ada, model, bring(ada, model, out.getvalue()))
        assert export(ada, model) == rows

    @pytest.mark.parametrize(
        ("data", "says"),
        [
            (b"", "empty"),
            ("email,name\nx@example.org,Müller\n".encode("latin-1"), "not UTF-8"),
            (b"email,password\nx@example.org,x\n", "Unknown column “password”"),
            (b"email\n" + b"x" * 1_000_001, "larger than 1,000 kB"),
            (b"email\nnobody\n", "valid email"),
            (b"email,name\nx@example.org,=cmd|' /C calc'!A0\n", "looks like a formula"),
            (b"email,plan\nx@example.org,Platinum\n", "“Platinum” does not exist (plan)"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_bad_files_are_refused_with_a_sentence(self, ada: Client, data: bytes, says: str) -> None:
        assert says in wrong(bring(ada, "user", data))
        assert not User.objects.filter(email="x@example.org").exists()

    @pytest.mark.parametrize(
        ("model", "data", "says"),
        [
            ("quota", "plan,group,user,model,unit,period,shared,limit\n,,,,messages,day,0,5\n", "Choose exactly one"),
            ("quota", "plan,group,user,model,unit,period,shared,limit\nDefault,,,,messages,day,0,-5\n", "greater"),
            ("quota", "plan,group,user,model,unit,period,shared,limit\nDefault,,,,bananas,day,0,5\n", "not a valid"),
            ("quota", "plan,group,user,model,unit,period,shared,limit\nDefault,,,,messages,day,perhaps,5\n", "1 or 0"),
            ("price", "endpoint,model,valid_from,input_per_million\n,m,yesterday,5\n", "is not a time"),
            ("price", "endpoint,model,valid_from,input_per_million\n,m,2026-01-01,NaN\n", "is not a number"),
            ("price", "endpoint,model,valid_from,output_per_million\n,m,2026-01-01,1\n", "null"),
        ],
    )  # fmt: skip
    def test_bad_rows_are_refused_with_a_sentence(self, ada: Client, model: str, data: str, says: str) -> None:
        assert says in wrong(bring(ada, model, data))

    def test_a_preview_runs_no_script(self, ada: Client) -> None:
        page = bring(ada, "user", 'email,name\nx@example.org,"<script>alert(1)</script>"\n').content.decode()
        assert "<script>alert" not in page
        assert "&lt;script&gt;" in page

    def test_usage_is_never_brought_in(self, ada: Client) -> None:
        bring(ada, "usageentry", "model\nm\n")  # there is no such page
        assert not UsageEntry.objects.exists()


def test_an_exported_file_can_be_imported_and_half_of_it_cannot() -> None:
    whole = b"name\r\nOne\r\nTwo\r\n# rows: 2\r\n"
    assert import_export.read_table(whole) == [["name"], ["One"], ["Two"]]
    assert import_export.read_table(whole.replace(b"2\r\n", b"2,,\r\n"))[-1] == ["Two"], "a spreadsheet has saved it"
    assert len(import_export.ExportedCSV().create_dataset(whole.decode())) == 2
    with pytest.raises(ValidationError, match="a different number of rows"):
        import_export.read_table(whole.replace(b"Two\r\n", b""))
