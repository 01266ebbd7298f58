"""What staff do to one person: top-ups, switching off, ending sessions, taking their data out, erasing with a grace."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from accounts import erasure
from accounts.models import AuditEntry, Plan, Quota, Session, TopUp, User
from accounts.quotas import top_ups
from accounts.quotas.balance import user_balances
from chat.models import Conversation, Member, Message
from chat.portability.export import export_user_data
from chat.retention import erasure as erasure_module
from tests.conftest import PASSWORD
from tests.fixtures.people import logged_in
from tests.integration.accounts.test_roles import member

pytestmark = [pytest.mark.usefixtures("clean_redis"), pytest.mark.django_db]


@pytest.fixture
def root() -> User:
    return User.objects.create_superuser("root@example.org", PASSWORD)


@pytest.fixture
def quota() -> Quota:
    plan = Plan.objects.get(is_default=True)
    return Quota.objects.create(plan=plan, unit="messages", period="month", limit=10)


def address(person: User, *deed: object) -> str:
    return "/admin/accounts/user/" + "/".join(str(part) for part in (person.pk, *deed)) + "/"


def verbs() -> list[str]:
    return list(AuditEntry.objects.order_by("id").values_list("verb", flat=True))


def left(person: User, quota: Quota) -> Decimal:
    return next(one.remaining for one in user_balances(person.pk) if one.quota_id == quota.pk)


class TestTopUp:
    def test_more_for_this_period(self, alice: User, quota: Quota) -> None:
        cleo = logged_in(member("support"))
        assert cleo.get(address(alice, "top-up")).status_code == 200
        form = {"quota": quota.pk, "amount": "5", "reason": "a thesis"}
        assert cleo.post(address(alice, "top-up"), form).status_code == 302
        assert left(alice, quota) == 15
        made = TopUp.objects.get()
        assert (made.reason, made.by and made.by.email) == ("a thesis", "sam@example.org")
        assert verbs() == ["top_up"]

    @pytest.mark.parametrize(
        "wrong",
        [{"amount": "-5"}, {"amount": "0"}, {"amount": "NaN"}, {"amount": "1e30"}, {"quota": "999999"}, {"reason": ""}],
        ids=str,
    )
    def test_nonsense_is_refused(self, alice: User, quota: Quota, wrong: dict[str, str]) -> None:
        form = {"quota": quota.pk, "amount": "5", "reason": "x"} | wrong
        response = logged_in(member("support")).post(address(alice, "top-up"), form)
        assert response.status_code == 200
        assert response.context["form"].errors
        assert left(alice, quota) == 10
        assert verbs() == []

    def test_reset(self, alice: User, quota: Quota) -> None:
        cleo = logged_in(member("support"))
        why = {"reason": "our outage"}
        assert cleo.post(address(alice, "reset", quota.pk)).status_code == 200
        assert verbs() == [], "without a reason nothing is done"
        cleo.post(address(alice, "reset", quota.pk), why)  # nothing was used
        assert not TopUp.objects.exists()
        top_ups.top_up(alice.pk, quota.pk, Decimal(1))
        alice.allowances.update(used=4)
        assert cleo.post(address(alice, "reset", quota.pk), why).status_code == 302
        assert left(alice, quota) == 11
        assert verbs() == ["reset", "reset"]

    def test_only_by_post(self, alice: User, quota: Quota) -> None:
        cleo = logged_in(member("administrator"))
        for deed in (("switch", "on"), ("end-sessions",), ("export",), ("keep",)):
            assert cleo.get(address(alice, *deed)).status_code == 405, deed


class TestSessions:
    def test_ending_one(self, alice: User) -> None:
        logged_in(alice), logged_in(alice)  # two places
        first, second = Session.objects.filter(user=alice)
        cleo = logged_in(member("support"))
        page = cleo.get(address(alice, "change")).content.decode()
        assert first.hash in page
        assert first.session_key not in page
        cleo.post(address(alice, "end-session", first.hash))
        assert Session.objects.filter(user=alice).get() == second
        assert verbs() == ["end_session"]

    def test_not_anothers(self, alice: User, bob: User) -> None:
        logged_in(bob)
        cleo = logged_in(member("support"))
        cleo.post(address(alice, "end-session", Session.objects.get(user=bob).hash))
        assert Session.objects.filter(user=bob).exists()

    def test_ending_all(self, alice: User) -> None:
        logged_in(alice), logged_in(alice)
        logged_in(member("moderator")).post(address(alice, "end-sessions"))
        assert not Session.objects.filter(user=alice).exists()


class TestSwitching:
    def test_off_and_on(self, alice: User) -> None:
        theirs = logged_in(alice)
        dan = logged_in(member("moderator"))
        assert dan.get(address(alice, "switch", "off")).status_code == 200, "asks why"
        assert dan.post(address(alice, "switch", "off")).status_code == 200
        assert verbs() == []
        dan.post(address(alice, "switch", "off"), {"reason": "a stolen laptop"})
        entry = AuditEntry.objects.get()
        assert (entry.reason, entry.subjects, entry.changes) == (
            "a stolen laptop", [alice.pk], {"is_active": ["True", "False"]},
        )  # fmt: skip
        assert theirs.get("/accounts/usage/").status_code == 302
        assert not theirs.login(email=alice.email, password=PASSWORD)
        dan.post(address(alice, "switch", "on"))
        assert theirs.login(email=alice.email, password=PASSWORD)
        assert verbs() == ["switch_off", "switch_on"]

    def test_not_oneself_nor_the_last_administrator(self, root: User) -> None:
        assert logged_in(root).post(address(root, "switch", "off")).status_code == 403
        with pytest.raises(erasure.LastAdministratorError):
            erasure.disable(root)
        other = User.objects.create_superuser("other@example.org", PASSWORD)
        logged_in(root).post(address(other, "switch", "off"), {"reason": "left"})
        assert list(User.objects.filter(is_active=True, is_superuser=True)) == [root]
        form = {"email": root.email, "name": "", "is_staff": "on"}  # the box "superuser" is not ticked
        response = logged_in(root).post(address(root, "change"), form)
        assert "last administrator" in response.content.decode()
        root.refresh_from_db()
        assert root.is_superuser


class TestDownload:
    def test_everything_and_written_down(self, alice: User) -> None:
        made = Conversation.objects.create(title="Mine", model="m")
        Member.objects.create(conversation=made, user=alice, role="owner")
        Message.objects.create(conversation=made, role="user", author=alice, text="Grüße")
        response = logged_in(member("administrator")).post(address(alice, "export"))
        data = json.loads(b"".join(response))
        assert data == json.loads("".join(export_user_data(alice)))
        assert data["conversations"][0]["messages"][0]["text"] == "Grüße"
        assert "alice@example.org.json" in response["Content-Disposition"]
        assert verbs() == ["export_user"]

    @pytest.mark.parametrize("role", ["support", "moderator", "billing", ""])
    def test_not_for_others(self, alice: User, role: str) -> None:
        assert logged_in(member(role)).post(address(alice, "export")).status_code == 403
        assert verbs() == ["permission_refused"]


class TestErasing:
    def test_scheduled_and_called_off(self, root: User, alice: User) -> None:
        theirs, mine = logged_in(alice), logged_in(root)
        page = mine.get(address(alice, "erase")).content.decode()
        assert "After 7 days" in page
        assert "conversations without other members" in page
        assert mine.post(address(alice, "erase"), {"email": "bob@example.org"}).status_code == 200
        alice.refresh_from_db()
        assert not User.objects.exclude(erase_at=None).exists()
        assert (
            mine.post(address(alice, "erase"), {"email": "Alice@example.org ", "reason": "asked for it"}).status_code
            == 302
        )
        alice.refresh_from_db()
        soon = User.objects.filter(erase_at__lte=timezone.now() + timedelta(days=7), erase_at__gt=timezone.now())
        assert soon.get() == alice
        assert not alice.is_active
        assert theirs.get("/accounts/usage/").status_code == 302
        assert "Cancel erasure" in mine.get(address(alice, "change")).content.decode()
        mine.post(address(alice, "switch", "on"))  # that would leave it to be erased while in use
        alice.refresh_from_db()
        assert not alice.is_active
        assert erasure_module.erase_due() == 0
        mine.post(address(alice, "keep"))
        alice.refresh_from_db()
        assert (alice.erase_at, alice.is_active) == (None, True)
        assert verbs() == ["erase", "switch_on", "keep"]

    def test_calling_off_leaves_off_what_was_off(self, alice: User) -> None:
        erasure.disable(alice)
        first = erasure.schedule(alice)
        assert erasure.schedule(alice) == first, "asked twice, it is not put off"
        assert erasure.cancel(alice)
        alice.refresh_from_db()
        assert not alice.is_active
        assert not erasure.cancel(alice)

    def test_gone_after_the_grace(self, alice: User, bob: User) -> None:
        erasure.schedule(bob)
        erasure.schedule(alice, days=0)
        assert erasure_module.erase_due() == 1
        assert list(User.objects.values_list("email", flat=True)) == ["bob@example.org"]

    def test_one_that_fails_holds_up_nobody(
        self, alice: User, bob: User, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        erasure.schedule(alice, days=0)
        erasure.schedule(bob, days=0)
        erase: Callable[[User], Any] = erasure_module.erase

        def fail_for_alice(user: User) -> Any:
            if user == alice:
                raise RuntimeError("no")
            return erase(user)

        monkeypatch.setattr(erasure_module, "erase", fail_for_alice)
        assert erasure_module.erase_due() == 1
        assert User.objects.get() == alice
        assert "user_erasure_failed" in caplog.text

    def test_the_last_administrator_stays(self, root: User) -> None:
        other = member("administrator")
        assert logged_in(root).get(address(root, "erase")).status_code == 403
        assert logged_in(other).post(address(root, "erase"), {"email": root.email}).status_code == 403
        with pytest.raises(erasure.LastAdministratorError):
            erasure.schedule(root)
        root.refresh_from_db()
        assert root.is_active


class TestPage:
    def test_what_it_tells_whom(self, alice: User, quota: Quota) -> None:
        logged_in(alice)

        def shown(role: str) -> str:
            text: str = (
                logged_in(member(role, f"{role}{User.objects.count()}")).get(address(alice, "change")).content.decode()
            )
            return text

        assert "10 of 10 messages left this month" in shown("support")
        assert "Last 30 days" not in shown("support")
        assert "Last 30 days" in shown("billing")
        assert "Remaining quota" not in shown("moderator")
        for role in ("support", "billing", "moderator"):
            assert "argon2" not in shown(role)
            assert "Erase" not in shown(role)
        assert "Erase" in shown("administrator")

    def test_asks_little(self, root: User, alice: User, quota: Quota, django_assert_max_num_queries: Any) -> None:
        for _ in range(8):
            logged_in(alice)
        client = logged_in(root)
        client.get(address(alice, "change"))
        with django_assert_max_num_queries(26):
            client.get(address(alice, "change"))


class TestSuspension:
    def test_for_a_time_with_a_reason(self, alice: User) -> None:
        sam = logged_in(member("moderator"))
        assert "Suspend for a time…" in sam.get(address(alice, "change")).content.decode()
        assert sam.post(address(alice, "suspend"), {"hours": "168"}).status_code == 200, "a reason is needed"
        assert sam.post(address(alice, "suspend"), {"hours": "5", "reason": "x"}).status_code == 200
        assert verbs() == []
        assert sam.post(address(alice, "suspend"), {"hours": "168", "reason": "spam"}).status_code == 302
        alice.refresh_from_db()
        assert alice.suspended_until is not None
        assert alice.suspension_reason == "spam"
        assert timedelta(days=6) < alice.suspended_until - timezone.now() <= timedelta(days=7)
        assert alice.is_active, "they can still read"
        entry = AuditEntry.objects.get()
        assert (entry.verb, entry.reason, entry.subjects) == ("suspend", "spam", [alice.pk])
        assert entry.changes["suspended_until"][0] == ""

    def test_not_without_the_permission(self, alice: User) -> None:
        assert logged_in(member("support")).post(address(alice, "suspend")).status_code == 403
