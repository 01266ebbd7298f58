"""What two tabs do to a user's folders and tags at the same time."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from accounts.models import User
from chat.conversations import folders, organising, tags
from chat.models import Member, Tag
from chat.protocol.errors import Invalid, NotFound
from tests.fixtures.conversation_rows import make_conversation
from tests.fixtures.quota_rows import Elsewhere, together

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis")]


def call(acts: list[Callable[[], object]], number: int) -> object:
    return acts[number]()


def test_a_folder_is_deleted_while_something_is_moved_into_it(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was an error 500: the member had a folder that was not there any more."""
    one = make_conversation(alice)
    folder = folders.create_folder(alice.pk, {"name": "Trips"}, None)
    read = organising._rows_of
    deleting: list[Elsewhere] = []

    def read_meanwhile(*given: Any) -> list[Member]:
        deleting.append(Elsewhere(lambda: folders.delete_folder(alice.pk, folder.pk)))
        deleting[0].join(1)
        return read(*given)

    monkeypatch.setattr(organising, "_rows_of", read_meanwhile)
    organising.move(alice.pk, [one.pk], folder.pk)
    deleting[0].join(10)
    assert Member.objects.get(conversation=one).folder_id is None


def test_a_tag_is_deleted_while_it_is_put_on_a_conversation(alice: User) -> None:
    one = make_conversation(alice)
    for _ in range(8):
        tag = tags.find_or_create_tag(alice.pk, "later").pk
        acts: list[Callable[[], object]] = [
            partial(organising.tag, alice.pk, [one.pk], tag_id=tag), partial(tags.delete_tag, alice.pk, tag)
        ]  # fmt: skip
        results = together(2, partial(call, acts))
        assert all(isinstance(one, NotFound) for one in results if isinstance(one, Exception)), results
        assert not Tag.objects.exists()


def test_two_requests_together_stay_within_the_limit_of_tags(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tags, "MAX_TAGS", 3)
    results = together(8, lambda number: tags.find_or_create_tag(alice.pk, f"tag {number}"))
    assert sum(isinstance(one, Invalid) for one in results) == 5
    assert Tag.objects.count() == 3


def test_an_id_of_anothers_temporary_chat_says_nothing(alice: User, bob: User) -> None:
    """It was refused as temporary, so that whoever had the id learnt that."""
    own, other = make_conversation(alice), make_conversation(bob)
    type(other).objects.filter(pk=other.pk).update(temporary=True)
    for unknown in (other.pk, uuid.uuid4()):
        assert organising.archive(alice.pk, [own.pk, unknown], archived=True)["done"] == 1
