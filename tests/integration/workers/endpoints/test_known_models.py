"""What endpoints list reaches the admin's list of models, and what staff decide there reaches the workers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from pytest_django.fixtures import Settings

from accounts.lib.db import in_db
from accounts.models import AuditEntry
from chat.catalog import offered_models
from chat.catalog.access import clear_rules_cache
from chat.models import KnownModel
from tests.fakes.openai_server import FakeOpenAI
from tests.fixtures.offered_models import forget_models
from tests.fixtures.people import staff_client
from workers.endpoints.known_models import NOT_NAMED, STANDBY
from workers.endpoints.service import EndpointSync
from workers.models import Endpoint, EndpointModel, Use
from workers.providers.base import ChatTurn, Options, ProviderError
from workers.providers.config import Definition
from workers.providers.discovery import make_client
from workers.providers.router import ModelRouter

pytestmark = pytest.mark.usefixtures("nothing_configured")
EMBEDDING = "its name is that of a model for embedding"


@pytest.fixture
def nothing_configured(settings: Settings, clean_redis: str) -> Iterator[None]:
    settings.OPENAI_BASE_URL = settings.OPENAI_API_KEY = ""
    settings.OLLAMA_URL = "http://127.0.0.1:1"
    settings.CHAT_MODELS = []
    forget_models()
    clear_rules_cache()
    yield
    forget_models()
    clear_rules_cache()


@pytest.fixture
def upstream() -> Iterator[FakeOpenAI]:
    priced = {"id": "org/priced", "context_length": 8192, "pricing": {"prompt": "0.00000125", "completion": "0.00001"}}
    with FakeOpenAI(models=[priced, "plain", "nomic-embed-text"]) as server:
        yield server


@pytest.fixture
async def worker(settings: Settings, upstream: FakeOpenAI, transactional_db: None) -> AsyncIterator[EndpointSync]:
    """A worker whose one endpoint is the environment's."""
    settings.OPENAI_BASE_URL = upstream.url
    sync = EndpointSync()
    await sync.open()
    await sync.publish()
    yield sync
    await sync.router.close()


def known() -> dict[str, tuple[str, str]]:
    return {row.name: (row.endpoint, row.reason) for row in KnownModel.objects.all()}


def offered() -> list[str]:
    forget_models()
    return [model["id"] for model in offered_models.offered_models()]


async def test_staff_see_and_decide_what_the_environments_endpoint_lists(worker: EndpointSync) -> None:
    assert await in_db(known) == {
        "org/priced": ("Main endpoint", ""),
        "plain": ("Main endpoint", ""),
        "nomic-embed-text": ("Main endpoint", EMBEDDING),
    }
    assert await in_db(offered) == ["org/priced", "plain"]
    await in_db(lambda: KnownModel.objects.filter(name="plain").update(visibility="hidden"))
    await in_db(lambda: KnownModel.objects.filter(name="nomic-embed-text").update(visibility="shown"))
    await worker.reload()
    assert await in_db(offered) == ["org/priced", "nomic-embed-text"]
    assert (await in_db(known))["plain"][1] == "hidden by staff"
    assert (await in_db(known))["nomic-embed-text"][1] == ""


async def test_prices_and_places_are_published(worker: EndpointSync) -> None:
    first = (await in_db(offered_models.published_models))[0]
    assert (first["input_price"], first["output_price"]) == (1.25, 10.0)
    assert (first["label"], first["endpoint_name"]) == ("priced", "Main endpoint")
    assert first["host"].startswith("127.0.0.1:")
    assert set(await in_db(lambda: offered_models.offered_models()[0])) == {"id", "label", "window"}


async def test_a_row_that_is_up_to_date_is_not_written(worker: EndpointSync) -> None:
    def written() -> list[tuple[str, object]]:
        rows = KnownModel.objects.extra(select={"version": "xmin::text"})
        return list(rows.values_list("name", "version"))

    before = await in_db(written)
    await worker.publish()
    assert await in_db(written) == before


async def test_the_reason_names_the_endpoints_own_list_or_use(worker: EndpointSync, upstream: FakeOpenAI) -> None:
    with FakeOpenAI(models=["spare", "plain"]) as other, FakeOpenAI(models=["own", "extra"]) as third:

        def rows() -> None:
            Endpoint.objects.create(name="Spare", base_url=other.url, use=Use.STANDBY)
            named = Endpoint.objects.create(name="Named", base_url=third.url)
            EndpointModel.objects.create(endpoint=named, name="own")

        await in_db(rows)
        await worker.reload()
        found = await in_db(known)
    assert found["spare"] == ("Spare", STANDBY)
    assert found["plain"] == ("Main endpoint", ""), "the endpoint that offers it"
    assert (found["own"], found["extra"]) == (("Named", ""), ("Named", NOT_NAMED))


@pytest.mark.django_db
def test_the_last_decision_counts(clean_redis: str) -> None:
    row = Endpoint.objects.create(name="Ours", base_url="http://127.0.0.1:1/v1", hidden_models=["plain"])
    KnownModel.objects.create(name="plain", visibility="hidden")
    client = staff_client("view_endpoint", "change_endpoint")
    client.post(f"/admin/workers/endpoint/{row.pk}/models/", {"model": "plain", "shown": "1"})
    row.refresh_from_db()
    assert (row.shown_models, row.hidden_models) == (["plain"], [])
    assert KnownModel.objects.get().visibility == "", "the list's decision is taken back"
    assert AuditEntry.objects.filter(verb="show_model").count() == 1


@pytest.mark.parametrize("permitted", [True, False])
async def test_a_fallback_does_not_answer_with_a_model_that_is_not_the_users(permitted: bool) -> None:
    with FakeOpenAI(models=["spare"]) as spare:
        router = ModelRouter(make_client, 10.0)
        router.set_endpoints(
            [
                Definition(
                    id="a", name="a", base_url="http://127.0.0.1:1/v1", models=(("chosen", "Chosen"),),
                    fallback="b", fallback_model="spare",
                ),
                Definition(id="b", name="b", base_url=spare.url, offered=False),
            ]
        )  # fmt: skip
        asked: list[str] = []

        async def permits(model: str) -> bool:
            asked.append(model)
            return permitted

        async def ask() -> str:
            found = ""
            turns = [ChatTurn("user", "[[tokens=2]]")]
            async with router.stream("chosen", turns, options=Options(permits=permits)) as answer:
                async for chunks in answer:
                    found += "".join(chunk.text for chunk in chunks)
            return found

        try:
            if permitted:
                assert await ask() == "tok0 tok1 "
            else:
                with pytest.raises(ProviderError, match="upstream_unreachable"):
                    await ask()
        finally:
            await router.close()
        assert asked == ["spare"]
        assert len(spare.chats) == int(permitted)
