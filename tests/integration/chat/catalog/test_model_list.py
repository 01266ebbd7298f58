"""What the list of models shows: prices, marks, favourites, and the choice that a conversation begins with."""

from __future__ import annotations

import json
from typing import Any

import pytest

from accounts.models import Price, User
from chat.catalog.picker import MAX_FAVOURITES, remember_choice, star
from chat.models import FavouriteModel
from chat.protocol.errors import Invalid
from tests.fixtures.people import logged_in
from tests.fixtures.run_rows import say
from tests.integration.chat.catalog.limited_models import SECRET, decide, end, publish

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("three_models")]


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
