"""Shared quotas: a pot that all of a group draw from, beside what each of them may use."""

from __future__ import annotations

import io
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.test import Client

from accounts.models import Quota, Reservation, Unit, UsageEntry, User
from accounts.quotas.balance import lock_ledger_for_allowances, shared_balances, user_balances
from chat.models import Conversation, Run
from chat.protocol.errors import QuotaExceeded
from chat.recovery.ledger import check_ledger, free_orphans
from chat.runs.claims import claim
from chat.turns.accepted import Accepted
from tests.conftest import make_user
from tests.fixtures.quota_rows import Elsewhere, end, give, refused, send, together, tokens
from tests.integration.accounts.quotas.shared_quotas import share, team

pytestmark = pytest.mark.usefixtures("one_model")


UNITS = (Unit.MESSAGES, Unit.INPUT_TOKENS, Unit.OUTPUT_TOKENS, Unit.AUDIO_SECONDS)


def pot(group: Group) -> tuple[float | Decimal, float | Decimal]:
    [balance] = shared_balances(group.pk)
    return balance.used, balance.reserved


@pytest.mark.django_db(transaction=True)
def test_fifty_at_once_by_five_with_room_for_ten_are_ten() -> None:
    members = [make_user(f"Member{number}") for number in range(5)]
    group = team(*members)
    share(group, 10)
    for one in members:
        give(one, 1000, Unit.OUTPUT_TOKENS, "month")
        give(one, 100)
    Quota.objects.filter(unit=Unit.OUTPUT_TOKENS).update(limit=1_000_000)
    results = together(50, lambda number: send(members[number % 5]))
    admitted = [one for one in results if isinstance(one, Accepted)]
    refusals = [one for one in results if isinstance(one, QuotaExceeded)]
    assert (len(admitted), len(refusals)) == (10, 40), results
    assert refusals[0].message == "Team has used up its shared quota of 10 messages today."
    assert Run.objects.count() == 10
    assert pot(group) == (0, 10)
    together(10, lambda number: end(admitted[number].run_id))
    assert pot(group) == (10, 0)
    assert Reservation.objects.count() == 0
    assert check_ledger() == []


@pytest.mark.django_db(transaction=True)
def test_asking_and_ending_at_once_while_pots_are_made_never_loses_count() -> None:
    """New allowances add up the ledger while entries are written and rows are locked the other way round: no deadlock,
    and each answer counted once."""
    members = [make_user(f"Member{number}") for number in range(4)]
    first, second = team(*members, name="First"), team(*members[:2], name="Second")
    for one in members:
        give(one, 1000)

    def work(number: int) -> None:
        for round_ in range(6):
            if round_ == number % 3:
                share(first if number % 2 else second, 1_000_000, UNITS[number // 2], "hour")
            end(send(members[number % 4]).run_id, tokens(7, 9))

    assert [one for one in together(8, work) if one] == []
    for one in members:
        send(one)
    assert check_ledger() == []
    assert {balance.used for balance in shared_balances(first.pk) if balance.unit == Unit.MESSAGES} <= {48}
    assert [balance.used for balance in user_balances(members[0].pk) if not balance.shared_by] == [12]


@pytest.mark.django_db(transaction=True)
def test_a_new_period_begins_while_an_answer_ends() -> None:
    """Who makes an allowance waits for entries before locking any row that the entry's writer needs."""
    alice = make_user("Alice")
    group = team(alice)
    give(alice, 5)
    share(group, 5, period="week")
    run = send(alice).run_id
    share(group, 5)
    with transaction.atomic():
        end(run)
        asking = Elsewhere(lambda: send(alice))
        assert asking.blocked()
        with connection.cursor() as cursor:  # had it locked the rows that are there, this would be a deadlock
            cursor.execute("SELECT FROM accounts_allowance FOR UPDATE NOWAIT")
    asking.join()
    assert isinstance(asking.outcome, Accepted), asking.outcome
    assert {(int(balance.used), int(balance.reserved)) for balance in user_balances(alice.pk)} == {(1, 1)}
    assert check_ledger() == []


@pytest.mark.django_db
def test_a_pot_holds_beside_what_each_may_use(alice: User, bob: User, mallory: User) -> None:
    group = team(alice, bob)
    share(group, 3)
    Quota.objects.create(group=group, unit=Unit.MESSAGES, period="day", limit=2)
    for _ in range(2):
        end(send(alice).run_id)
    assert refused(alice), "her own two are used up"
    assert not refused(bob), "and one of the pot is left"
    give(alice, 10)
    end(send(bob).run_id)
    assert refused(alice), "a nearer quota of her own does not open the pot"
    assert refused(bob)
    assert not refused(mallory), "who is not in the group"
    bob.groups.remove(group)
    assert not refused(bob)
    assert pot(group) == (3, 0), "what he drew stays drawn"
    assert check_ledger() == []


@pytest.mark.django_db
def test_who_is_in_two_groups_draws_from_both_pots(alice: User) -> None:
    first, second = team(alice, name="First"), team(alice, name="Second")
    share(first, 1)
    share(second, 2)
    end(send(alice).run_id)
    assert (pot(first), pot(second)) == ((1, 0), (1, 0))
    assert refused(alice), "each must have room"


@pytest.mark.django_db
def test_the_ledger_says_who_was_in_the_group_then(alice: User, bob: User) -> None:
    group = team(alice)
    end(send(alice).run_id)
    end(send(bob).run_id)
    bob.groups.add(group)
    under_way = send(bob).run_id
    share(group, 9)
    assert pot(group) == (1, 0), "a pot that is new counts what its members used since the period began"
    end(under_way)
    alice.groups.remove(group)
    end(send(alice).run_id)
    assert pot(group) == (2, 0)
    assert sorted(UsageEntry.objects.values_list("groups", flat=True)) == [[], [], [group.pk], [group.pk]]
    end(send(bob).run_id)
    assert pot(group) == (3, 0)
    assert check_ledger() == []


@pytest.mark.django_db
def test_a_person_who_is_deleted_while_asking_leaves_the_pot_as_it_was(alice: User, bob: User) -> None:
    group = team(alice, bob)
    share(group, 5)
    accepted = send(alice)
    claim(accepted.run_id, "lost")
    Conversation.objects.all().delete()
    alice.delete()
    assert pot(group) == (0, 1)
    assert free_orphans() == 1
    assert pot(group) == (0, 0)
    assert check_ledger() == []


@pytest.mark.django_db
def test_an_answer_that_ends_after_its_asker_was_deleted_gives_back(alice: User, bob: User) -> None:
    group = team(alice, bob)
    share(group, 5)
    run = send(alice).run_id
    alice.delete()
    assert Run.objects.get().requested_by is None
    end(run)
    assert pot(group) == (0, 0)
    assert check_ledger() == []


@pytest.mark.django_db
def test_only_a_group_can_share(alice: User) -> None:
    with pytest.raises(ValidationError, match="Only a group"):
        Quota(user=alice, limit=Decimal(1), shared=True).full_clean()
    with pytest.raises(IntegrityError), transaction.atomic():
        give(alice, 1, shared=True)


@pytest.mark.django_db
def test_changing_a_quota_to_a_pot_and_back_counts_right(alice: User, bob: User) -> None:
    group = team(alice, bob)
    Quota.objects.create(group=group, unit=Unit.MESSAGES, period="day", limit=3)
    end(send(alice).run_id)
    under_way = send(alice).run_id
    Quota.objects.update(shared=True)
    end(send(bob).run_id)
    end(under_way)
    assert pot(group) == (3, 0)
    assert refused(bob)
    Quota.objects.update(shared=False)
    assert not refused(bob)
    assert check_ledger() == []


@pytest.mark.django_db
def test_page_frame_and_command_say_that_it_is_shared(alice: User, bob: User, client: Client) -> None:
    group = team(alice, bob, name="Blue")
    share(group, 5)
    for _ in range(4):
        ended = end(send(alice).run_id)
    assert [balance.frame()["shared_by"] for balance in ended.near] == ["Blue"]
    client.force_login(bob)
    assert "shared by everyone in Blue" in client.get("/accounts/usage/").content.decode()

    def told(*words: str) -> str:
        out = io.StringIO()
        call_command("quota", *words, stdout=out)
        return out.getvalue()

    assert "1 of 5 messages left  (day)  shared by Blue" in told("show", "bob@example.org")
    assert "1 of 5" in told("show", "--group", "Blue")
    assert "has no shared quota" in told("show", "--group", team(name="Other").name)
    told("set", "--group", "Blue", "--shared", "--unit", "messages", "--period", "day", "7")
    told("set", "--group", "Blue", "--unit", "messages", "--period", "day", "2")
    assert sorted(Quota.objects.values_list("shared", "limit")) == [(False, 2), (True, 7)]
    assert "3 of 7" in told("reset", "bob@example.org"), "the pot is nobody's own"


@pytest.mark.django_db(transaction=True)
def test_a_pot_that_is_made_between_two_looks_is_not_filled_without_its_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry is being written for the second group while a new allowance of the first one is made."""
    alice, bob = make_user("Alice"), make_user("Bob")
    first, second = team(alice, name="First"), team(alice, bob, name="Second")
    share(first, 5)
    run = send(bob).run_id
    keep_out = lock_ledger_for_allowances

    def and_then_another(*args: Any) -> None:
        keep_out(*args)
        share(second, 5)

    monkeypatch.setattr("accounts.quotas.reservations.lock_ledger_for_allowances", and_then_another)
    with transaction.atomic():
        end(run)
        accepted = Elsewhere(lambda: send(alice))
        accepted.join()
    assert isinstance(accepted.outcome, Accepted), accepted.outcome
    assert pot(first) == (0, 1)
    assert pot(second) == (1, 0)
    assert check_ledger() == []
