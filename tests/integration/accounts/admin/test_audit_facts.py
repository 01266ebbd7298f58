"""What an entry of the audit log says: before and after, why, whom it concerns, and who ran a command."""

from __future__ import annotations

import io
import os
import pwd
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.utils import timezone

from accounts import audit_chain
from accounts.models import AuditEntry, AuditSeal, Plan, Quota, User
from chat.models import Message
from tests.fixtures.people import staff_client
from tests.integration.config.ops.operating import conversation
from workers.models import Endpoint

pytestmark = pytest.mark.usefixtures("clean_redis", "db")


@pytest.fixture
def root() -> Client:
    return staff_client(superuser=True)


def newest(verb: str) -> AuditEntry:
    return AuditEntry.objects.filter(verb=verb).order_by("-id")[0]


class TestChanges:
    def test_a_plan_says_what_it_was_and_what_it_is(self, root: Client) -> None:
        plan = Plan.objects.create(name="Gold", retention_days=30)
        page = root.get(f"/admin/accounts/plan/{plan.pk}/change/")
        form = {
            name: value
            for name, value in page.context["adminform"].form.initial.items()
            if value is not None and value is not False
        }
        inline = {f"quotas-{name}": "0" for name in ("TOTAL_FORMS", "INITIAL_FORMS", "MIN_NUM_FORMS", "MAX_NUM_FORMS")}
        answer = root.post(f"/admin/accounts/plan/{plan.pk}/change/", {**form, **inline, "retention_days": "90"})
        assert answer.status_code == 302, answer.context["errors"]
        assert newest("change").changes == {"retention_days": ["30", "90"]}
        html = root.get(f"/admin/accounts/auditentry/{newest('change').pk}/change/").content.decode()
        assert "retention_days" in html
        assert ">90</td>" in html

    def test_a_secret_is_masked(self, root: Client) -> None:
        form = {
            "name": "There", "base_url": "https://api.example.org/v1", "kind": "openai", "api_key": "sk-very-secret",
            "enabled": "on", "position": "1",
        }  # fmt: skip
        root.post("/admin/workers/endpoint/add/", form)
        if Endpoint.objects.exists():
            assert newest("add").changes["api_key"] == ["", "•••"]
        assert "sk-very-secret" not in str(list(AuditEntry.objects.values()))

    def test_rights_of_staff_need_a_reason(self, root: Client, alice: User) -> None:
        page = f"/admin/accounts/user/{alice.pk}/change/"
        form = {"email": alice.email, "name": alice.name, "is_staff": "on"}
        assert "Enter why the permissions are changed" in root.post(page, form).content.decode()
        assert not AuditEntry.objects.filter(verb="change").exists()
        root.post(page, {**form, "reason": "joins support"})
        entry = newest("change")
        assert (entry.reason, entry.subjects) == ("joins support", [alice.pk])
        assert entry.changes == {"is_staff": ["False", "True"]}


class TestWhoRead:
    def test_is_one_click_from_the_persons_page(self, root: Client, alice: User, bob: User) -> None:
        hers, his = conversation(alice, "mine"), conversation(bob, "his")
        for one in (hers, his):
            root.get(f"/admin/chat/message/{Message.objects.get(conversation=one).pk}/change/")
        root.get(f"/admin/chat/conversation/{hers.pk}/change/")
        page = root.get(f"/admin/accounts/user/{alice.pk}/change/").content.decode()
        link = f"/admin/accounts/auditentry/?read_of={alice.pk}"
        assert f'href="{link}"' in page
        found = root.get(link).context["cl"].result_list
        assert [(one.verb, one.object_type) for one in found] == [
            ("read_body", "chat.conversation"), ("read_body", "chat.message"),
        ]  # fmt: skip
        html = root.get(link).content.decode()
        assert f"/admin/accounts/user/{alice.pk}/change/" in html, "and back to the person"
        assert "his@" not in html

    def test_the_list_asks_for_all_addresses_at_once(self, root: Client, alice: User, bob: User) -> None:
        for person in (alice, bob, alice, bob):
            AuditEntry.objects.create(
                actor_email="x@example.org", verb="read_body", object_type="accounts.user", object_id=str(person.pk),
                subjects=[person.pk],
            )  # fmt: skip
        from django.test.utils import CaptureQueriesContext

        with CaptureQueriesContext(connection) as queries:
            root.get("/admin/accounts/auditentry/")
        assert len(queries) <= 12, [one["sql"][:80] for one in queries]

    def test_nonsense_finds_everything_and_breaks_nothing(self, root: Client) -> None:
        assert root.get("/admin/accounts/auditentry/?subject=nobody").status_code in (200, 302)


class TestCommands:
    def test_say_who_ran_them(self, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("USER", "somebody-else")
        call_command("export_user", alice.email, stdout=io.StringIO())
        entry = newest("export_user")
        assert entry.system_user.startswith(pwd.getpwuid(os.getuid()).pw_name + "@")
        assert (entry.actor, entry.subjects) == (None, [alice.pk])

    def test_erasing_is_recorded_with_its_reason_and_a_trial_is_not(self, alice: User) -> None:
        call_command("erase_user", alice.email, "--dry-run", stdout=io.StringIO())
        assert not AuditEntry.objects.exists()
        call_command("erase_user", alice.email, "--yes", "--reason", "asked by letter", stdout=io.StringIO())
        assert newest("erase").reason == "asked by letter"

    def test_a_limit_says_what_it_was(self, alice: User) -> None:
        kind = ("--user", alice.email, "--unit", "messages", "--period", "day")
        for number in ("5", "7"):
            call_command("quota", "set", number, *kind, stdout=io.StringIO())
        assert Quota.objects.get().limit == 7
        entry = newest("change")
        assert entry.changes["limit"] == ["5.000000000", "7"]
        assert entry.subjects == [alice.pk]

    @pytest.mark.parametrize("command", [("export", "CSV", "accounts.User"), ("import", "accounts.User", "x.csv")])
    def test_stock_commands_that_leak_are_gone(self, command: tuple[str, ...]) -> None:
        with pytest.raises(CommandError, match="admin"):
            call_command(*command)

    def test_settings_are_shown_without_secrets(self) -> None:
        with pytest.raises(CommandError, match="would print secrets"):
            call_command("diffsettings")
        out = io.StringIO()
        call_command("settings", stdout=out)
        assert "a-key-for-tests-only" not in out.getvalue()
        assert "SECRET_KEY" in out.getvalue()
        assert "PURGE_SECONDS" in out.getvalue()


class TestChain:
    def write(self, count: int) -> list[AuditEntry]:
        at = timezone.now() - timedelta(hours=1)
        return [
            AuditEntry.objects.create(actor_email="a@b.c", verb="test", object_type="t", object_id=str(number), at=at)
            for number in range(count)
        ]

    def test_a_chain_that_nobody_touched_is_whole(self) -> None:
        self.write(5)
        assert audit_chain.verify().waiting == 5
        assert audit_chain.seal() == 5
        self.write(2)
        audit_chain.seal()
        assert audit_chain.seal() == 0
        found = audit_chain.verify()
        assert (found.sealed, found.waiting, found.wrong) == (7, 0, [])
        assert found.head == AuditSeal.objects.order_by("-number")[0].hash

    def test_what_was_changed_or_removed_is_named(self) -> None:
        rows = sorted(self.write(4), key=lambda row: row.pk)  # as they are sealed; ids of one millisecond have no order
        audit_chain.seal()
        self.behind_its_back("UPDATE accounts_auditentry SET details = 'harmless' WHERE id = %s", rows[1].pk)
        self.behind_its_back("DELETE FROM accounts_auditentry WHERE id = %s", rows[2].pk)
        out = io.StringIO()
        with pytest.raises(SystemExit):
            call_command("audit", "verify", stdout=out)
        assert f"2: the entry {rows[1].pk} is not as it was" in out.getvalue()
        assert "3: the entry is gone" in out.getvalue()

    def behind_its_back(self, statement: str, id_: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE accounts_auditentry DISABLE TRIGGER accounts_auditentry_append_only")
            cursor.execute(statement, [id_])
            cursor.execute("ALTER TABLE accounts_auditentry ENABLE TRIGGER accounts_auditentry_append_only")

    def test_seals_are_append_only(self) -> None:
        self.write(1)
        audit_chain.seal()
        with pytest.raises(IntegrityError), transaction.atomic():
            AuditSeal.objects.update(hash="0" * 64)

    def test_an_export_is_checked_without_the_database(self, tmp_path: Any) -> None:
        self.write(3)
        audit_chain.seal()
        file = tmp_path / "audit.jsonl"
        call_command("audit", "export", str(file), stdout=io.StringIO())
        assert oct(file.stat().st_mode & 0o777) == "0o600"
        out = io.StringIO()
        call_command("audit", "verify", "--file", str(file), stdout=out)
        assert "3 entries" in out.getvalue()
        file.write_text(file.read_text().replace('"test"', '"toast"', 1))
        with pytest.raises(SystemExit):
            call_command("audit", "verify", "--file", str(file), stdout=out)
        assert newest("export").system_user
