"""Two accounts of one person become one: nothing is lost, nothing counts twice, and nobody else gains by it."""

from __future__ import annotations

import io
import json
import uuid
from decimal import Decimal
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialAccount
from django.contrib.auth.models import Group, Permission
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.db.utils import IntegrityError
from django.test import Client

from accounts import erasure
from accounts.admin.user_merging import REPORT
from accounts.merging import ids_of
from accounts.models import (
    ActState,
    Allowance,
    ApiToken,
    AuditEntry,
    DailyUsage,
    PendingAct,
    Plan,
    Quota,
    TopUp,
    UsageEntry,
    User,
)
from accounts.quotas import top_ups
from accounts.quotas.balance import user_balances
from chat.models import Collection, Conversation, FavouriteModel, Folder, Member, Message, Role, Tag, ToolApproval
from chat.recovery.ledger import check_ledger
from chat.retention import merged_rows
from tests.conftest import make_user
from tests.fixtures.conversation_rows import make_conversation
from tests.fixtures.people import logged_in
from tests.fixtures.quota_rows import end, give, send

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis", "one_model")]
ADDRESSES = ("twin@example.org", "alice@example.org")


@pytest.fixture
def twin() -> User:
    """Alice's second account."""
    return make_user("Twin")


def merge(*options: str) -> dict[str, int]:
    out = io.StringIO()
    call_command("merge_users", *ADDRESSES, "--reason", "ticket 7", "--yes", "--json", *options, stdout=out)
    found: dict[str, int] = json.loads(out.getvalue())
    return found


def plan_quota() -> Quota:
    plan = Plan.objects.get(is_default=True)
    return Quota.objects.create(plan=plan, unit="messages", period="day", limit=Decimal(10))


def test_every_column_of_a_user_is_named() -> None:
    """A new model would otherwise lose its rows in a merge, in silence."""
    rules = (merged_rows.MOVED, merged_rows.RENAMED, merged_rows.BY_HAND, merged_rows.DELETED, merged_rows.LEFT)
    named = [name for rule in rules for name in rule]
    assert len(named) == len(set(named))
    assert set(named) == merged_rows.columns_of_users()


def test_what_one_has_goes_to_the_other(alice: User, twin: User, bob: User) -> None:
    own, shared, both = (make_conversation(twin, title=title) for title in ("own", "shared", "both"))
    Member.objects.create(conversation=shared, user=bob, role=Role.EDITOR)
    Member.objects.create(conversation=both, user=alice, role=Role.VIEWER)
    folder = Folder.objects.create(user=twin, name="Work")
    Member.objects.filter(user=twin, conversation=own).update(folder=folder)
    for user in (alice, twin):
        Collection.objects.create(owner=user, name="Papers")
        FavouriteModel.objects.create(user=user, model="small")
        ToolApproval.objects.create(user=user, tool="look")
    tag, other = Tag.objects.create(user=alice, name="Tax"), Tag.objects.create(user=twin, name="tax")
    other.members.add(Member.objects.get(user=twin, conversation=own))
    team, role = Group.objects.create(name="team"), Group.objects.create(name="role")
    role.permissions.add(Permission.objects.get(codename="view_dashboard"))
    twin.groups.add(team, role)
    EmailAddress.objects.create(user=alice, email=alice.email, primary=True, verified=True)
    EmailAddress.objects.create(user=twin, email=twin.email, primary=True, verified=True)
    SocialAccount.objects.create(user=twin, provider="idp", uid="42")
    ApiToken.objects.create(user=twin, name="script", prefix="a" * 12, token_hash="b" * 64)

    planned = merge("--dry-run")
    assert User.objects.filter(pk=twin.pk).exists()
    assert merge() == planned
    assert {name: number for name, number in planned.items() if number} == {
        "conversations_moved": 2, "conversations_of_both": 1, "messages_moved": 3, "folders_moved": 1, "tags_moved": 1,
        "collections_moved": 1, "api_tokens_moved": 1, "addresses_moved": 1, "logins_moved": 1,
    }  # fmt: skip
    assert not User.objects.filter(pk=twin.pk).exists()
    assert Conversation.objects.count() == 3
    roles = {row.conversation.title: row.role for row in Member.objects.filter(user=alice)}
    assert roles == {"own": "owner", "shared": "owner", "both": "owner"}
    mine = Member.objects.get(user=alice, conversation=own)
    assert mine.folder == folder
    assert list(tag.members.all()) == [mine]
    assert Message.objects.filter(role="user", author=alice).count() == 3
    assert sorted(Collection.objects.values_list("owner__email", "name")) == [
        ("alice@example.org", "Papers"), ("alice@example.org", "Papers (2)"),
    ]  # fmt: skip
    assert FavouriteModel.objects.get().user == ToolApproval.objects.get().user == ApiToken.objects.get().user == alice
    assert list(alice.groups.all()) == [team], "a team, and no permissions"
    assert set(EmailAddress.objects.filter(user=alice).values_list("email", "primary")) == {
        ("alice@example.org", True), ("twin@example.org", False),
    }  # fmt: skip
    assert SocialAccount.objects.get().user == alice


def test_the_ledger_stays_exact(alice: User, twin: User) -> None:
    quota = plan_quota()
    give(twin, 3, model="another")
    for user, answers in ((alice, 1), (twin, 2)):
        for _ in range(answers):
            end(send(user).run_id)
    top_ups.top_up(alice.pk, quota.pk, Decimal(1))
    top_ups.top_up(twin.pk, quota.pk, Decimal(2))
    with connection.cursor() as cursor:
        cursor.execute("SELECT sum(messages), sum(input_tokens), count(*) FROM accounts_usageentry")
        before = cursor.fetchone()
    found = merge()
    assert (found["usage_entries_moved"], found["top_ups_moved"], found["quotas_deleted"]) == (2, 1, 1)
    [balance] = user_balances(alice.pk)
    assert [balance.limit, balance.used, balance.reserved] == [13, 3, 0]
    assert Allowance.objects.count() == 1
    assert TopUp.objects.filter(user=alice).count() == 2
    assert DailyUsage.objects.get().messages == 3
    assert set(UsageEntry.objects.values_list("user", flat=True)) == {alice.pk}
    with connection.cursor() as cursor:
        cursor.execute("SELECT sum(messages), sum(input_tokens), count(*) FROM accounts_usageentry")
        assert cursor.fetchone() == before
    assert check_ledger() == []
    end(send(alice).run_id)
    assert user_balances(alice.pk)[0].used == 4
    assert check_ledger() == []


def test_allowances_of_one_only_move(alice: User, twin: User) -> None:
    plan_quota()
    end(send(twin).run_id)
    merge()
    assert Allowance.objects.get().user == alice
    assert user_balances(alice.pk)[0].used == 1
    assert check_ledger() == []


def test_the_ledger_is_append_only_for_everything_else(alice: User, twin: User) -> None:
    end(send(twin).run_id)
    for declared, change in (
        ("", {"user": alice}),
        (f"{twin.pk}>{uuid.uuid4()}", {"user": alice}),
        (f"{twin.pk}>{alice.pk}", {"user": alice, "messages": 0}),
    ):
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT set_config('antiphon.merging', %s, true)", [declared])
            with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
                UsageEntry.objects.update(**change)
    merge()
    with pytest.raises(IntegrityError, match="append-only"):
        UsageEntry.objects.update(user=None)


def test_the_audit_log_answers_for_both(alice: User, twin: User) -> None:
    first = make_user("First")
    staff = User.objects.create_superuser("root@example.org", "x")
    browser = logged_in(staff)
    browser.post(f"/admin/accounts/user/{first.pk}/end-sessions/")
    call_command("merge_users", first.email, twin.email, "--reason", "once", "--yes", stdout=io.StringIO())
    merge()
    assert ids_of(alice.pk) == [alice.pk, twin.pk, first.pk]
    entry = AuditEntry.objects.filter(verb="merge").latest("pk")
    assert (entry.reason, entry.changes) == ("ticket 7", {"account": list(ADDRESSES)})
    assert "@" in entry.system_user
    shown = browser.get(f"/admin/accounts/auditentry/?subject={alice.pk}").content.decode()
    assert "first@example.org" in shown
    assert "end_sessions" in shown


class TestRefused:
    def refused(self, sentence: str, *addresses: str) -> None:
        with pytest.raises(CommandError, match=sentence):
            call_command("merge_users", *(addresses or ADDRESSES), "--reason", "why", "--yes", stdout=io.StringIO())
        assert not AuditEntry.objects.filter(verb="merge").exists()

    def test_by_what_the_accounts_are(self, alice: User, twin: User) -> None:
        self.refused("same account", alice.email, alice.email)
        self.refused("no account", "nobody@example.org", alice.email)
        for user in (alice, twin):
            User.objects.filter(pk=user.pk).update(is_staff=True)
            self.refused(f"{user.email} is staff")
            User.objects.filter(pk=user.pk).update(is_staff=False, awaits_approval=True)
            self.refused(f"{user.email} is awaiting approval")
            User.objects.filter(pk=user.pk).update(awaits_approval=False)
            erasure.schedule(user)
            self.refused(f"{user.email} is scheduled for erasure")
            erasure.cancel(user)
        User.objects.filter(pk=alice.pk).update(is_active=False)
        self.refused("alice@example.org is disabled")
        assert User.objects.filter(pk__in=[alice.pk, twin.pk]).count() == 2

    def test_while_an_answer_is_under_way(self, alice: User, twin: User) -> None:
        plan_quota()
        run_id = send(twin).run_id
        self.refused("in progress")
        end(run_id)
        merge()
        assert user_balances(alice.pk)[0].used == 1
        assert check_ledger() == []

    def test_without_a_reason_or_a_terminal(self, alice: User, twin: User) -> None:
        with pytest.raises(CommandError, match="--reason"):
            call_command("merge_users", *ADDRESSES, "--yes")
        with pytest.raises(CommandError, match="--yes merges"):
            call_command("merge_users", *ADDRESSES, "--reason", "why")


class TestPage:
    @pytest.fixture
    def root(self) -> Client:
        return logged_in(User.objects.create_superuser("root@example.org", "x"))

    def post(self, browser: Client, twin: User, **more: Any) -> Any:
        values = {"into": "alice@example.org", "reason": "ticket 7", **more}
        return browser.post(f"/admin/accounts/user/{twin.pk}/merge/", values, follow=True)

    def test_shows_what_happens_and_does_it(self, alice: User, twin: User, root: Client) -> None:
        make_conversation(twin)
        assert "Merge…" in root.get(f"/admin/accounts/user/{twin.pk}/change/").content.decode()
        shown = self.post(root, twin).content.decode()
        assert "conversations, moved" in shown
        assert f'name="shown" value="{alice.pk}"' in shown
        assert User.objects.filter(pk=twin.pk).exists(), "a preview"
        bob = make_user("Bob")
        assert "What happens" in self.post(root, twin, shown=bob.pk).content.decode(), "of another account"
        done = self.post(root, twin, shown=alice.pk).content.decode()
        assert "twin@example.org has been merged into this account." in done
        assert Member.objects.get().user == alice
        entry = AuditEntry.objects.get(verb="merge")
        assert (entry.actor_email, entry.reason, entry.subjects) == (
            "root@example.org",
            "ticket 7",
            [alice.pk, twin.pk],
        )

    def test_every_number_has_a_label(self, alice: User, twin: User) -> None:
        assert list(REPORT) == list(erasure.user_data().merge_report(twin, alice))

    def test_refuses_with_a_sentence(self, alice: User, twin: User, root: Client) -> None:
        own = User.objects.get(email="root@example.org")
        assert "There is no account with this address." in self.post(root, twin, into="x@example.org").content.decode()
        assert "You cannot merge your own account." in self.post(root, twin, into=own.email).content.decode()
        assert "These are the same account." in self.post(root, twin, into=twin.email).content.decode()
        send(twin)
        assert "in progress" in self.post(root, twin, shown=alice.pk).content.decode()
        assert not AuditEntry.objects.filter(verb="merge").exists()

    def test_a_second_person_where_the_site_demands_one(
        self, alice: User, twin: User, root: Client, settings: Any
    ) -> None:
        settings.FOUR_EYES = ["export"]
        assert "Requested." in self.post(root, twin, shown=alice.pk).content.decode()
        assert User.objects.filter(pk=twin.pk).exists()
        other = logged_in(User.objects.create_superuser("other@example.org", "x"))
        act = PendingAct.objects.get()
        listed = other.get("/admin/accounts/pendingact/").content.decode()
        assert "twin@example.org → alice@example.org" in listed
        other.post("/admin/accounts/pendingact/", {"action": "approve", "_selected_action": [str(act.pk)]})
        self.post(root, twin, shown=alice.pk)
        assert not User.objects.filter(pk=twin.pk).exists()
        act.refresh_from_db()
        assert (act.state, act.user) == (ActState.DONE, alice)
