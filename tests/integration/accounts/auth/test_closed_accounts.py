"""A closed or deleted account's sessions end, and its sockets close."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from django.db import transaction

from accounts.auth.revocation import session_group, session_hash, user_group, was_revoked
from accounts.auth.sessions import still_valid
from accounts.models import User
from tests.conftest import make_user
from tests.integration.accounts.auth.listening import Browser, Ear, revoked, save_inactive

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis")]


def save_only_the_field(user: User) -> None:
    user.is_active = False
    user.save(update_fields=["is_active"])


def update_in_bulk(user: User) -> None:
    User.objects.filter(email=user.email).update(is_active=False)


def bulk_update(user: User) -> None:
    user.is_active = False
    User.objects.bulk_update([user], ["is_active"])


def delete_one(user: User) -> None:
    user.delete()


def delete_in_bulk(user: User) -> None:
    User.objects.filter(email=user.email).delete()


CLOSING = [save_inactive, save_only_the_field, update_in_bulk, bulk_update, delete_one, delete_in_bulk]


class TestClosedAccount:
    @pytest.mark.parametrize("close", CLOSING)
    def test_ends_every_session_of_that_user(
        self, close: Callable[[User], None], alice: User, bob: User, ear: Ear
    ) -> None:
        here, there, other = Browser(alice), Browser(alice), Browser(bob)
        user_id = alice.pk
        ear.listen(user_group(user_id), user_group(bob.pk))
        close(User.objects.get(pk=user_id))
        assert ear.heard() == [user_group(user_id)]
        assert [here.is_in(), there.is_in(), other.is_in()] == [False, False, True]
        assert not still_valid(user_id, here.hash)
        unborn = session_hash("made at that very moment")
        assert asyncio.run(was_revoked(user_id, unborn))

    def test_opened_again_and_logged_in_at_once(self, alice: User) -> None:
        alice.is_active = False
        alice.save()
        alice.is_active = True
        alice.save()
        here = Browser(alice)
        assert here.is_in()
        assert not revoked(alice, here.hash)

    def test_other_changes_end_nothing(self, alice: User, ear: Ear) -> None:
        here = Browser(alice)
        ear.listen(user_group(alice.pk), session_group(here.hash))
        alice.name = "Alice L."
        alice.save()
        loaded = User.objects.defer("password").get(pk=alice.pk)
        loaded.save()
        loaded.refresh_from_db()
        loaded.save()
        User.objects.filter(pk=alice.pk).update(name="Alice")
        make_user("Carol")
        assert ear.heard() == []
        assert here.is_in()

    def test_nothing_is_said_of_what_is_rolled_back(self, alice: User, ear: Ear) -> None:
        here = Browser(alice)
        ear.listen(user_group(alice.pk))
        with transaction.atomic():
            save_inactive(alice)
            transaction.set_rollback(True)
        assert ear.heard() == []
        assert here.is_in()
        assert not revoked(alice, here.hash)
