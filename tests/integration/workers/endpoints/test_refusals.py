"""What a model refuses: one worker learns it, others and the pages know it, and staff have it tried again."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission
from django.utils import timezone
from pytest_django.fixtures import Settings

from accounts.lib.db import in_db
from accounts.models import AuditEntry, User
from chat.catalog import offered_models
from chat.catalog.access import clear_rules_cache
from chat.catalog.picker import picker_entries
from chat.catalog.refusals import find_refusals
from chat.models import KnownModel
from tests.fakes.openai_scripts import Script
from tests.fakes.openai_server import FakeOpenAI
from tests.fixtures.offered_models import forget_models
from tests.fixtures.people import logged_in, make_staff, staff_client
from tests.integration.workers.endpoints.test_known_models import nothing_configured  # noqa: F401 -- a fixture
from workers.endpoints.service import EndpointSync
from workers.models import Endpoint, ModelFact
from workers.providers.base import ChatTurn, Options, ProviderError, ToolSpec

pytestmark = pytest.mark.usefixtures("nothing_configured")
WARM = Options(temperature=0.3)
SAID = "Unsupported parameter: 'temperature' is not supported with this model."


@pytest.fixture
def upstream() -> Iterator[FakeOpenAI]:
    with FakeOpenAI(models=["plain", "other"]) as server:
        yield server


@pytest.fixture
async def workers(
    settings: Settings, upstream: FakeOpenAI, transactional_db: None
) -> AsyncIterator[tuple[EndpointSync, EndpointSync]]:
    """Two workers whose one endpoint is the environment's."""
    settings.OPENAI_BASE_URL = upstream.url
    first, second = EndpointSync(), EndpointSync()
    for sync in (first, second):
        await sync.open()
    await first.publish()
    yield first, second
    for sync in (first, second):
        await sync.router.close()


async def ask(worker: EndpointSync, model: str = "plain", options: Options = WARM) -> None:
    turns = [ChatTurn("user", "Hello [[tokens=1]]")]
    async with worker.router.stream(model, turns, options=options) as answer:
        assert [chunks async for chunks in answer]


def refuses() -> dict[str, list[str]]:
    forget_models()
    return {one["id"]: one["refuses"] for one in offered_models.offered_models() if "refuses" in one}


async def test_one_worker_learns_it_for_all_and_staff_undo_it(
    workers: tuple[EndpointSync, EndpointSync], upstream: FakeOpenAI
) -> None:
    first, second = workers
    upstream.play(Script(status=400, said=SAID))
    await ask(first)
    await first.share_facts()
    await second.share_facts()
    await ask(second)
    await ask(second, "other")
    assert [chat.body.get("temperature") for chat in upstream.chats] == [0.3, None, None, 0.3]
    await first.publish()
    assert await in_db(refuses) == {"plain": ["temperature"]}

    def undo() -> None:
        row = KnownModel.objects.get(name="plain")
        viewer = staff_client("view_knownmodel")
        page = viewer.get(f"/admin/chat/knownmodel/{row.pk}/change/").content.decode()
        assert "Not accepted by the model" in page
        assert "Try again: a temperature" not in page
        fields = {"endpoint": ModelFact.objects.get(model="plain").endpoint, "what": "temperature"}
        address = f"/admin/chat/knownmodel/{row.pk}/accept/"
        assert viewer.post(address, fields).status_code == 403
        sam = User.objects.get(email="sam@example.org")
        sam.user_permissions.add(Permission.objects.get(codename="change_knownmodel"))
        client = logged_in(sam)
        page = client.get(f"/admin/chat/knownmodel/{row.pk}/change/").content.decode()
        assert "Try again: a temperature" in page
        assert client.get(address).status_code == 405
        assert "The model will be sent this again." in client.post(address, fields, follow=True).content.decode()
        assert "This refusal is no longer stored." in client.post(address, fields, follow=True).content.decode()
        assert AuditEntry.objects.filter(verb="forget_refusal").count() == 2

    await in_db(undo)
    for worker in workers:  # neither brings it back with what it stores
        worker.router.facts.note_window("e", "m", 1000)
        await worker.share_facts()
    await ask(first)
    await ask(second)
    assert [chat.body.get("temperature") for chat in upstream.chats[-2:]] == [0.3, 0.3]
    await first.publish()
    assert await in_db(refuses) == {}


async def test_a_model_that_takes_no_tools(workers: tuple[EndpointSync, EndpointSync], upstream: FakeOpenAI) -> None:
    """One request finds out for all workers. The picker says so, until staff say otherwise."""
    first, second = workers
    options = Options(tools=(ToolSpec("current_time", "", {}),))
    upstream.play(Script(no_tools=True))
    with pytest.raises(ProviderError) as caught:
        await ask(first, options=options)
    assert caught.value.code == "upstream_no_tools"
    await first.share_facts()
    await second.share_facts()
    for worker in workers:
        assert worker.router.takes_tools("plain") is False
        await ask(worker, options=options)
    assert ["tools" in chat.body for chat in upstream.chats] == [True, False, False]
    await first.publish()

    def look() -> object:
        forget_models()
        clear_rules_cache()
        sam = User.objects.filter(email="sam@example.org").first() or make_staff("view_knownmodel")
        row = KnownModel.objects.get(name="plain")
        page = logged_in(sam).get(f"/admin/chat/knownmodel/{row.pk}/change/").content.decode()
        assert "Tools; it is asked without them" in page
        entries = {one["id"]: one for one in picker_entries(sam)["models"]}
        assert "tools" not in entries["other"], "nobody knows"
        return entries["plain"].get("tools")

    assert await in_db(look) is False
    await in_db(lambda: KnownModel.objects.filter(name="plain").update(tools=True))
    assert await in_db(look) is True
    await first.reload()
    assert first.router.takes_tools("plain") is True


@pytest.mark.django_db
def test_staff_see_where_and_until_when_and_have_all_of_it_tried_again() -> None:
    now = timezone.now()
    Endpoint.objects.create(name="Back room", base_url="http://10.0.0.7:8080/v1", position=1)
    old = {"stream": (now - timedelta(hours=25)).isoformat()}
    lately = {name: (now - timedelta(hours=1)).isoformat() for name in ("temperature", "max_tokens")}
    ModelFact.objects.create(endpoint="10.0.0.7:8080", model="plain", refused=lately)
    ModelFact.objects.create(endpoint="elsewhere", model="plain", refused={"system": now.isoformat(), **old})
    ModelFact.objects.create(endpoint="elsewhere", model="forgotten", refused=old)
    row, *_ = KnownModel.objects.bulk_create(KnownModel(name=name) for name in ("plain", "forgotten", "fine"))
    client = staff_client("view_knownmodel", "change_knownmodel")
    names = {found.name for found in client.get("/admin/chat/knownmodel/?refuses=yes").context["cl"].result_list}
    assert names == {"plain"}
    page = client.get(f"/admin/chat/knownmodel/{row.pk}/change/").content.decode()
    assert page.count("Back room (10.0.0.7:8080)") == 2
    assert re.search(r"elsewhere · <time [^>]*>rejected ", page)
    assert "max_completion_tokens is sent instead" in page
    assert "next try 2" in page.replace("\xa0", " ")  # 22 hours from now
    assert "streaming" not in page
    ModelFact.objects.filter(endpoint="10.0.0.7:8080").update(
        refused={**lately, "max_completion_tokens": now.isoformat()}
    )
    page = client.get(f"/admin/chat/knownmodel/{row.pk}/change/").content.decode()
    assert "max_completion_tokens is sent instead" not in page, "which it does not accept, either"
    answer = client.post(f"/admin/chat/knownmodel/{row.pk}/accept/", {"everything": "1"}, follow=True)
    assert "The model will be sent this again." in answer.content.decode()
    assert "Not accepted by the model" not in answer.content.decode()
    assert find_refusals("plain") == []
    assert AuditEntry.objects.filter(verb="forget_refusal").count() == 4
