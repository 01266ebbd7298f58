"""`users`, `invite` and `stats`: what they change, what they refuse, and what the audit log says."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.core import mail
from django.core.management import CommandError, call_command
from pytest_django.fixtures import Settings

from accounts.invitations import find
from accounts.lib.ids import uuid7
from accounts.models import AuditEntry, Plan, User
from accounts.quotas.settlement import Used, settle_run
from tests.integration.config.ops.operating import conversation

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis")]


def said(*command: str) -> str:
    out = io.StringIO()
    call_command(*command, stdout=out)
    return out.getvalue().strip()


def answer(*command: str) -> Any:
    return json.loads(said(*command, "--json"))


def verbs() -> list[str]:
    return list(AuditEntry.objects.order_by("pk").values_list("verb", flat=True))


@pytest.fixture
def root(db: None) -> User:
    return User.objects.create_superuser("root@example.org", "a good password 7", name="Root")


def test_accounts_are_listed(alice: User, root: User) -> None:
    User.objects.filter(pk=alice.pk).update(is_active=False)
    assert [one["email"] for one in answer("users", "list")] == ["root@example.org", "alice@example.org"]
    [one] = answer("users", "list", "--search", "ali")
    assert (one["state"], one["plan"], one["staff"], one["last_seen"]) == ("disabled", None, False, None)
    assert [one["email"] for one in answer("users", "list", "--staff")] == ["root@example.org"]
    assert [one["email"] for one in answer("users", "list", "--disabled")] == ["alice@example.org"]
    assert said("users", "list", "--search", "nobody") == "No account fits."
    assert "alice@example.org  Alice  disabled  default plan  never seen" in said("users", "list", "--search", "ali")


def test_an_account_is_created_with_a_password_once() -> None:
    Plan.objects.create(name="Team")
    made = answer("users", "create", "New@Example.org", "--name", "New", "--plan", "Team")
    user = User.objects.get(email="new@example.org")
    assert user.check_password(made["password"])
    assert str(user.plan) == "Team"
    [entry] = AuditEntry.objects.all()
    assert (entry.verb, entry.subjects) == ("add", [user.pk])
    assert entry.system_user
    assert made["password"] not in str(entry.changes)
    with pytest.raises(CommandError, match="already"):
        said("users", "create", "new@example.org")
    with pytest.raises(CommandError, match="valid email"):
        said("users", "create", "new")
    with pytest.raises(CommandError, match="no plan named 'Nope'"):
        said("users", "create", "x@example.org", "--plan", "Nope")
    assert User.objects.count() == 1


def test_disable_enable_plan_promote_demote(alice: User, root: User) -> None:
    plan = Plan.objects.create(name="Team")
    said("users", "disable", "alice@example.org", "--reason", "left")
    assert not User.objects.filter(pk=alice.pk, is_active=True).exists()
    assert AuditEntry.objects.get().reason == "left"
    said("users", "enable", "alice@example.org")
    assert answer("users", "plan", "alice@example.org", "Team") == {"email": "alice@example.org", "done": True}
    assert answer("users", "plan", "alice@example.org", "Team")["done"] is False
    said("users", "promote", "alice@example.org", "--role", "support")
    alice.refresh_from_db()
    assert alice.is_active
    assert alice.plan == plan
    assert alice.is_staff
    assert not alice.is_superuser
    assert alice.has_perm("accounts.top_up")
    alice.groups.add(Group.objects.create(name="A team"))
    said("users", "demote", "alice@example.org")
    alice.refresh_from_db()
    assert not User.objects.filter(pk=alice.pk, is_staff=True).exists()
    assert [group.name for group in alice.groups.all()] == ["A team"]
    said("users", "promote", "alice@example.org", "--superuser")
    said("users", "demote", "root@example.org")
    assert verbs() == ["switch_off", "switch_on", "change", "change", "change", "change", "change"]


def test_the_last_administrator_stays(root: User) -> None:
    for command in (("disable", "root@example.org", "--reason", "x"), ("demote", "root@example.org")):
        with pytest.raises(CommandError, match="last administrator"):
            said("users", *command)
    root.refresh_from_db()
    assert root.is_superuser
    assert root.is_active
    assert verbs() == []


def test_an_account_that_is_not_there(root: User) -> None:
    for command in (("enable",), ("plan", "Team"), ("promote", "--superuser")):
        with pytest.raises(CommandError, match="no account with this address"):
            said("users", command[0], "nobody@example.org", *command[1:])


def test_an_invitation_works_and_is_mailed(root: User, settings: Settings) -> None:
    settings.ALLOWED_ORIGINS = ["https://chat.example.org"]
    made = answer("invite", "New@example.org", "--role", "support")
    link, _, secret = made["link"].partition("#")
    assert link == "https://chat.example.org/accounts/invitation/"
    found = find(secret)
    assert found is not None
    assert (found.email, str(found.role), found.by) == ("new@example.org", "support", root)
    assert made["mailed"]
    assert secret in mail.outbox[0].body
    assert verbs() == ["invite"]
    assert secret not in str(AuditEntry.objects.get().details)
    with pytest.raises(CommandError, match="already invited"):
        said("invite", "new@example.org")
    assert said("invite", "b@example.org", "--no-mail", "--url", "http://x/").startswith("http://x/accounts/")
    assert len(mail.outbox) == 1


def test_an_invitation_needs_somebody_and_an_address(settings: Settings, alice: User) -> None:
    settings.ALLOWED_ORIGINS, settings.LOCAL_URL = [], ""
    with pytest.raises(CommandError, match="no administrator"):
        said("invite", "new@example.org")
    with pytest.raises(CommandError, match="address is not known"):
        said("invite", "new@example.org", "--by", "alice@example.org")
    with pytest.raises(CommandError, match="may not assign"):
        said("invite", "new@example.org", "--by", "alice@example.org", "--url", "http://x")


def test_an_invitation_to_what_runs_on_this_machine(settings: Settings, root: User) -> None:
    settings.ALLOWED_ORIGINS, settings.LOCAL_URL = [], "http://127.0.0.1:8000"
    assert said("invite", "new@example.org").startswith("http://127.0.0.1:8000/accounts/invitation/#")


def test_stats(alice: User) -> None:
    conversation(alice, "question", "answer")
    settle_run(alice.pk, uuid7(), datetime.now(UTC), Used("m", messages=1, input_tokens=1000))
    found = answer("stats", "--days", "1")
    assert (found["accounts"], found["conversations"], found["messages"]) == (1, 1, 2)
    assert (found["active_people"], found["answers"], found["input_tokens"]) == (1, 1, 1000)
    assert found["answers_without_price"] == 1
    assert found["database_bytes"] > 1_000_000
    assert "active people" in said("stats")
