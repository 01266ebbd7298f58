"""Which models a user may use: every way to ask for one, in and out of its groups; defaults; what staff decided."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext

from accounts.lib.db import in_db
from accounts.models import Plan, Price, User
from chat.admin.run_actions import retry_run
from chat.catalog import access, offered_models
from chat.catalog.access import choose_model, clear_rules_cache, may_use, models_of
from chat.catalog.picker import MAX_FAVOURITES, remember_choice, star
from chat.catalog.presets import clear_presets_cache, offers
from chat.catalog.prices import clear_prices_cache
from chat.models import Conversation, FavouriteModel, KnownModel, ModelChoice, Preset, Run, RunStatus
from chat.protocol.commands import MessageContinue, MessageEdit, MessageRegenerate
from chat.protocol.errors import Forbidden, Invalid
from chat.runs.ending import Ending, end_run
from chat.runs.lifecycle import claim
from chat.turns.accept import accept
from chat.turns.accepted import Accepted
from chat.turns.continuing import accept_continue
from tests.fixtures.offered_models import forget_models
from tests.fixtures.people import logged_in
from tests.fixtures.run_rows import row, say
from workers.generation.answer import ModelAnswer

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("three_models")]

SECRET = "secret"


def publish(*models: dict[str, Any]) -> None:
    offered_models.publish_models(list(models))  # type: ignore[arg-type]  # test data
    forget_models()


def forget() -> None:
    for clear in (forget_models, clear_rules_cache, clear_presets_cache, clear_prices_cache):
        clear()


@pytest.fixture
def three_models(clean_redis: str) -> Iterator[None]:
    forget()
    publish(
        {"id": "open", "label": "Open"},
        {"id": SECRET, "label": "Secret", "endpoint_name": "Vault", "host": "vault", "window": 131_072, "thinks": True},
        {"id": "other", "label": "Other"},
    )
    yield
    forget()


@pytest.fixture
def crew(alice: User) -> Group:
    """A group that alone may use the secret model; Alice is in it, Bob is not."""
    group = Group.objects.create(name="crew")
    alice.groups.add(group)
    decide(SECRET, limited=True).groups.add(group)
    return group


def decide(name: str, **values: Any) -> KnownModel:
    known, _ = KnownModel.objects.update_or_create(name=name, defaults=values)
    clear_rules_cache()
    return known


def end(accepted: Accepted, status: RunStatus = RunStatus.DONE) -> Accepted:
    assert claim(accepted.run_id, "w") is not None
    end_run(accepted.run_id, 1, status, Ending("Well."))
    return accepted


# Each way asks for the secret model in its own way, in a conversation of the user, and returns the run's model.


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


# --- the list of the picker ---------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_the_list_has_marks_favourites_and_what_was_used_last(alice: User) -> None:
    end(say(alice, model="other"))
    end(say(alice, model=SECRET))
    client = logged_in(alice)
    assert client.post("/models/star/", {"model": "other", "starred": "1"}).status_code == 200
    found = client.get("/models/")
    assert found["Cache-Control"] == "private, no-cache"
    listed = json.loads(found.content)
    assert (listed["favourites"], listed["recent"]) == (["other"], [SECRET, "other"])
    assert listed["models"][1] == {
        "id": SECRET, "label": "Secret", "endpoint": "Vault", "window": 131_072, "thinks": True,
    }  # fmt: skip
    again = client.get("/models/", headers={"If-None-Match": found["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    client.post("/models/star/", {"model": "other", "starred": "0"})
    assert client.get("/models/", headers={"If-None-Match": found["ETag"]}).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_the_next_conversation_begins_with_the_last_choice(alice: User) -> None:
    client = logged_in(alice)

    def chosen(path: str = "/") -> Any:
        page = client.get(path).content.decode()
        return json.loads(page.partition('<script id="page" type="application/json">')[2].partition("</script>")[0])

    assert (chosen()["model"], chosen()["chosen"]) == ("open", {"id": "open", "label": "Open"})
    client.post("/models/choose/", {"model": "other"})
    assert (chosen()["model"], chosen()["chosen"]["id"]) == ("open", "other")
    own = end(say(alice, model=SECRET)).conversation_id
    assert chosen(f"/c/{own}/")["chosen"]["id"] == SECRET, "a conversation keeps its own"
    decide("other", visibility="hidden")
    assert chosen()["chosen"]["id"] == "open", "it is gone"


def test_favourites_have_a_limit_and_only_real_models(alice: User) -> None:
    FavouriteModel.objects.bulk_create(
        FavouriteModel(user=alice, model=f"m{number}") for number in range(MAX_FAVOURITES)
    )
    with pytest.raises(Invalid, match="at most"):
        star(alice.pk, "other", starred=True)
    star(alice.pk, "m0", starred=False)
    star(alice.pk, "other", starred=True)
    star(alice.pk, "other", starred=True)
    assert FavouriteModel.objects.filter(user=alice).count() == MAX_FAVOURITES
    with pytest.raises(Invalid, match="not available"):
        star(alice.pk, "nowhere", starred=True)
    with pytest.raises(Invalid, match="not available"):
        remember_choice(alice.pk, "x" * 300)


PRICES = {"input_price": 1.25, "output_price": 10.0}


@pytest.mark.parametrize(
    ("setting", "shown"),
    [
        ("class", {"level": 2}),
        ("exact", {"level": 2, "input": "1.25", "output": "10", "currency": "USD"}),
        ("off", None),
    ],
)
@pytest.mark.django_db(transaction=True)
def test_prices_are_shown_as_far_as_the_site_wants(setting: str, shown: Any, settings: Any, alice: User) -> None:
    settings.MODEL_PRICES = setting
    publish({"id": "priced", "label": "P", "host": "vault", **PRICES})
    [model] = json.loads(logged_in(alice).get("/models/").content)["models"]
    assert model.get("price") == shown


@pytest.mark.django_db(transaction=True)
def test_the_sites_own_price_counts_more_than_the_lists(settings: Any, alice: User) -> None:
    settings.MODEL_PRICES, settings.CURRENCY = "exact", "EUR"
    publish({"id": "priced", "label": "P", "host": "vault", **PRICES})
    Price.objects.create(model="", input_per_million=9, output_per_million=9)
    Price.objects.create(model="priced", endpoint="elsewhere", input_per_million=8, output_per_million=8)
    Price.objects.create(model="priced", input_per_million="0.5", output_per_million="0.7")
    [model] = json.loads(logged_in(alice).get("/models/").content)["models"]
    assert model["price"] == {"level": 1, "input": "0.5", "output": "0.7", "currency": "EUR"}
