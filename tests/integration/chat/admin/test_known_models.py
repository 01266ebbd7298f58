"""Staff's list of models: why each is offered or not, who may use it, and many changed at once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from accounts.models import AuditEntry, User
from chat.catalog import offered_models
from chat.catalog.access import clear_rules_cache, may_use, models_of
from chat.models import KnownModel
from tests.fixtures.offered_models import forget_models
from tests.fixtures.people import staff_client

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("listed")]

LIST = "/admin/chat/knownmodel/"
NAMES = ["alpha", "beta", "gamma", "nomic-embed-text"]


@pytest.fixture
def listed(clean_redis: str) -> Iterator[None]:
    forget_models()
    clear_rules_cache()
    offered_models.publish_models([{"id": name, "label": name} for name in NAMES[:3]])
    for name in NAMES:
        reason = "its name is that of a model for embedding" if "embed" in name else ""
        KnownModel.objects.create(name=name, endpoint="Rookery", reason=reason)
    KnownModel.objects.create(name="gone", endpoint="Old")
    yield
    forget_models()
    clear_rules_cache()


@pytest.fixture
def keeper(db: None) -> Client:
    return staff_client("view_knownmodel", "add_knownmodel", "change_knownmodel")


def act(client: Client, action: str, *names: str, **more: object) -> str:
    chosen = [row.pk for row in KnownModel.objects.filter(name__in=names)]
    answer = client.post(LIST, {"action": action, "_selected_action": chosen, **more}, follow=True)
    assert answer.status_code == 200
    return str(answer.content.decode())


def test_the_list_says_what_is_hidden_and_why(keeper: Client) -> None:
    KnownModel.objects.filter(name="beta").update(visibility="hidden")
    shown = " ".join(keeper.get(LIST).content.decode().split())
    assert "its name is that of a model for embedding" in shown
    assert "hidden by staff" in shown
    assert "not listed by any endpoint" in shown

    def found(query: str) -> set[str]:
        return {row.name for row in keeper.get(LIST + query).context["cl"].result_list}

    assert found("?offered=yes") == {"alpha", "gamma"}
    assert found("?offered=no") == {"beta", "nomic-embed-text", "gone"}
    assert found("?endpoint=Old") == {"gone"}
    assert found("?q=mm") == {"gamma"}


def test_many_are_limited_to_groups_at_once(keeper: Client, alice: User, bob: User) -> None:
    crew, cooks = Group.objects.create(name="crew"), Group.objects.create(name="cooks")
    alice.groups.add(crew)
    asked = act(keeper, "limit_to_groups", "alpha", "beta")
    assert "these 2 models" in asked
    assert not KnownModel.objects.filter(limited=True).exists(), "nothing is chosen yet"
    assert "This field is required" in act(keeper, "limit_to_groups", "alpha", "beta", apply="1")
    done = act(keeper, "limit_to_groups", "alpha", "beta", apply="1", groups=[crew.pk, cooks.pk])
    assert "2 models are now only for cooks, crew." in done
    clear_rules_cache()
    assert [one["id"] for one in models_of(alice.pk)] == ["alpha", "beta", "gamma"]
    assert [one["id"] for one in models_of(bob.pk)] == ["gamma"]
    entries = AuditEntry.objects.filter(verb="limit_model").values_list("details", flat=True)
    assert sorted(entries) == ["alpha: cooks, crew", "beta: cooks, crew"]
    assert "1 model is now for everyone." in act(keeper, "allow_everyone", "alpha")
    clear_rules_cache()
    assert may_use(bob.pk, "alpha")
    assert not may_use(bob.pk, "beta")
    assert not KnownModel.objects.get(name="alpha").groups.exists()


def test_many_are_hidden_and_offered_at_once(keeper: Client, bob: User) -> None:
    act(keeper, "hide", "alpha", "gamma")
    clear_rules_cache()
    assert [one["id"] for one in models_of(bob.pk)] == ["beta"]
    act(keeper, "offer", "nomic-embed-text")
    act(keeper, "decide_automatically", "gamma")
    found = dict(KnownModel.objects.values_list("name", "visibility"))
    assert found == {"alpha": "hidden", "beta": "", "gamma": "", "nomic-embed-text": "shown", "gone": ""}
    verbs = set(AuditEntry.objects.filter(object_type="chat.knownmodel").values_list("verb", flat=True))
    assert verbs == {"hide_model", "show_model", "change"}


def test_one_is_changed_on_its_page(keeper: Client, bob: User) -> None:
    crew = Group.objects.create(name="crew")
    page = f"{LIST}{KnownModel.objects.get(name='alpha').pk}/change/"
    form = {"label": "The First", "visibility": "", "sees": "true", "thinks": "unknown", "tools": "unknown"}
    refused = keeper.post(page, {**form, "groups": [crew.pk]})
    assert "Turn this on, or select none" in refused.content.decode()
    assert keeper.post(page, {**form, "default_groups": [crew.pk]}).status_code == 302
    clear_rules_cache()
    found = next(one for one in models_of(bob.pk) if one["id"] == "alpha")
    assert (found["label"], found["sees"]) == ("The First", True)
    assert keeper.post(page, {**form, "limited": "on", "groups": [crew.pk]}).status_code == 302
    clear_rules_cache()
    assert not may_use(bob.pk, "alpha")


def test_who_may_only_look_changes_nothing(alice: User) -> None:
    viewer = staff_client("view_knownmodel")
    assert "Rookery" in viewer.get(LIST).content.decode()
    act(viewer, "hide", "alpha")
    assert not KnownModel.objects.exclude(visibility="").exists()
