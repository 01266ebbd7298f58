"""Which models a user may use: every way to ask for one, in and out of its groups; defaults; what staff decided."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest
from django.contrib.auth.models import Group
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext

from accounts.lib.db import in_db
from accounts.models import Plan, User
from chat.admin.run_actions import retry_run
from chat.catalog import access
from chat.catalog.access import choose_model, clear_rules_cache, may_use, models_of
from chat.catalog.presets import offers
from chat.models import Conversation, FavouriteModel, KnownModel, ModelChoice, Preset, Run, RunStatus
from chat.protocol.commands import MessageContinue, MessageEdit, MessageRegenerate
from chat.protocol.errors import Forbidden, Invalid
from chat.runs.claims import claim
from chat.turns.accept import accept
from chat.turns.accepted import Accepted
from chat.turns.continuing import accept_continue
from tests.fixtures.people import logged_in
from tests.fixtures.run_rows import row, say
from tests.integration.chat.catalog.limited_models import SECRET, decide, end
from workers.generation.answer import ModelAnswer

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("three_models")]


@pytest.fixture
def crew(alice: User) -> Group:
    """A group that alone may use the secret model; Alice is in it, Bob is not."""
    group = Group.objects.create(name="crew")
    alice.groups.add(group)
    decide(SECRET, limited=True).groups.add(group)
    return group


def by_send(user: User) -> str:
    return row(say(user, model=SECRET).run_id).model


def by_send_below(user: User) -> str:
    first = end(say(user))
    return row(say(user, conversation_id=first.conversation_id, model=SECRET).run_id).model


def by_regenerate(user: User) -> str:
    answer = row(end(say(user)).run_id).message_id
    command = MessageRegenerate(message_id=answer, client_id=uuid.uuid4(), model=SECRET)
    return row(accept(user.pk, command).run_id).model


def by_preset(user: User) -> str:
    preset, _ = Preset.objects.get_or_create(name="Spy", defaults={"model": SECRET})
    return row(say(user, preset_id=preset.pk).run_id).model


@pytest.mark.parametrize("way", [by_send, by_send_below, by_regenerate, by_preset])
def test_a_model_of_a_group_is_refused_to_everyone_else(
    way: Callable[[User], str], crew: Group, alice: User, bob: User
) -> None:
    assert way(alice) == SECRET
    with pytest.raises(Forbidden, match="only for certain groups"):
        way(bob)
    assert not Run.objects.filter(requested_by=bob, model=SECRET).exists()


def keep_using(user: User, again: Callable[[Accepted], uuid.UUID], status: RunStatus = RunStatus.DONE) -> str:
    """The model of another turn in a conversation that was begun with the secret model while all could use it."""
    KnownModel.objects.filter(name=SECRET).update(limited=False)
    clear_rules_cache()
    first = end(say(user, model=SECRET), status)
    assert Conversation.objects.get(pk=first.conversation_id).model == SECRET
    KnownModel.objects.filter(name=SECRET).update(limited=True)
    clear_rules_cache()
    return row(again(first)).model


def edit(user: User, first: Accepted) -> uuid.UUID:
    return accept(user.pk, MessageEdit(message_id=first.message_id, client_id=uuid.uuid4(), text="Ho")).run_id


def regenerate(user: User, first: Accepted) -> uuid.UUID:
    command = MessageRegenerate(message_id=row(first.run_id).message_id, client_id=uuid.uuid4())
    return accept(user.pk, command).run_id


def go_on(user: User, first: Accepted) -> uuid.UUID:
    return say(user, conversation_id=first.conversation_id).run_id


@pytest.mark.parametrize("again", [edit, regenerate, go_on])
def test_a_conversation_whose_model_is_no_longer_theirs_goes_on_with_their_default(
    again: Callable[[User, Accepted], uuid.UUID], crew: Group, alice: User, bob: User
) -> None:
    assert keep_using(alice, lambda first: again(alice, first)) == SECRET
    assert keep_using(bob, lambda first: again(bob, first)) == "open"


def test_an_answer_is_not_continued_with_a_model_that_is_no_longer_theirs(crew: Group, alice: User, bob: User) -> None:
    def go_on_in_it(user: User, first: Accepted) -> uuid.UUID:
        command = MessageContinue(message_id=row(first.run_id).message_id, client_id=uuid.uuid4())
        return accept_continue(user.pk, command).run_id

    assert keep_using(alice, lambda first: go_on_in_it(alice, first), RunStatus.STOPPED) == SECRET
    with pytest.raises(Forbidden, match="only for certain groups"):
        keep_using(bob, lambda first: go_on_in_it(bob, first), RunStatus.STOPPED)


@pytest.mark.django_db(transaction=True)
def test_staffs_retry_is_bound_by_the_groups_of_whoever_asked(crew: Group, alice: User, bob: User) -> None:
    def retry(first: Accepted) -> uuid.UUID:
        return retry_run(Run.objects.select_related("conversation", "requested_by").get(pk=first.run_id))

    assert keep_using(alice, retry, RunStatus.FAILED) == SECRET
    assert keep_using(bob, retry, RunStatus.FAILED) == "open"


def test_the_offers_name_only_what_is_theirs(crew: Group, alice: User, bob: User) -> None:
    assert [one["id"] for one in offers(alice.pk)["models"]] == ["open", SECRET, "other"]
    assert [one["id"] for one in offers(bob.pk)["models"]] == ["open", "other"]


@pytest.mark.django_db(transaction=True)  # the page reads in threads of its own
def test_the_page_and_its_list_name_only_what_is_theirs(crew: Group, alice: User, bob: User) -> None:
    assert SECRET in logged_in(alice).get("/models/").content.decode()
    client = logged_in(bob)
    assert SECRET not in client.get("/models/").content.decode()
    assert SECRET not in client.get("/").content.decode().lower()
    for path in ("choose", "star"):
        assert client.post(f"/models/{path}/", {"model": SECRET, "starred": "1"}).status_code == 400
    assert not FavouriteModel.objects.exists()
    assert not ModelChoice.objects.exists()


@pytest.mark.django_db(transaction=True)
async def test_a_fallback_answers_only_with_a_model_that_is_theirs(crew: Group, alice: User, bob: User) -> None:
    for user, permitted in ((alice, True), (bob, False)):
        accepted = await in_db(say, user)
        claimed = await in_db(claim, accepted.run_id, "w")
        assert claimed is not None
        answer = ModelAnswer.__new__(ModelAnswer)
        answer._run = claimed.run
        assert await answer._permits(SECRET) is permitted
        assert await answer._permits("anything")


def test_without_postgresql_no_limited_model_is_offered_or_answers(
    crew: Group, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    access.read_rules()

    def away(*_: object) -> None:
        raise OperationalError

    monkeypatch.setattr(access, "read_rules", away)
    assert [one["id"] for one in access.offered_to(alice.pk)] == ["open", "other"]


def test_deleting_the_last_group_opens_a_model_to_nobody(crew: Group, alice: User) -> None:
    crew.delete()
    clear_rules_cache()
    assert not may_use(alice.pk, SECRET)
    assert not may_use(None, SECRET)


def test_a_hidden_model_is_for_nobody(alice: User) -> None:
    decide("open", visibility="hidden")
    assert [one["id"] for one in models_of(alice.pk)] == [SECRET, "other"]
    with pytest.raises(Invalid, match="not available"):
        say(alice, model="open")
    assert row(say(alice).run_id).model == SECRET, "the default is the next one"


def test_the_default_is_the_groups_else_the_plans_else_the_first(crew: Group, alice: User, bob: User) -> None:
    assert choose_model(bob.pk, None) == "open"
    plan = Plan.objects.create(name="Team")
    decide("other").default_plans.add(plan)
    User.objects.filter(pk__in=[alice.pk, bob.pk]).update(plan=plan)
    decide(SECRET).default_groups.add(crew)
    clear_rules_cache()
    assert choose_model(alice.pk, None) == SECRET
    assert choose_model(bob.pk, None) == "other"
    assert [one["id"] for one in models_of(bob.pk)] == ["other", "open"], "their default comes first"
    assert offers(alice.pk)["models"][0]["id"] == SECRET


def test_a_default_that_is_not_theirs_is_none(crew: Group, bob: User) -> None:
    everyone = Group.objects.create(name="everyone")
    bob.groups.add(everyone)
    decide(SECRET).default_groups.add(everyone)
    clear_rules_cache()
    assert choose_model(bob.pk, None) == "open"


def test_staff_name_it_and_correct_what_its_endpoint_says(alice: User) -> None:
    decide(SECRET, label="The Raven", thinks=False, sees=True)
    found = next(one for one in models_of(alice.pk) if one["id"] == SECRET)
    assert found["label"] == "The Raven"
    assert (found["thinks"], found["sees"], found["window"]) == (False, True, 131_072)


def test_a_turn_asks_the_database_nothing_while_no_model_is_limited(alice: User) -> None:
    access.read_rules()
    with CaptureQueriesContext(
        connection,
    ) as asked:
        assert choose_model(alice.pk, "other") == "other"
        assert choose_model(alice.pk, None, "other") == "other"
    assert not asked.captured_queries
