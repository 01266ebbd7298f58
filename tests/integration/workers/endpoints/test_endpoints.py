"""Endpoints of the admin in a worker: which one answers, what a change does to answers under way, and their keys."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import pytest
from django.core.exceptions import ImproperlyConfigured
from pytest_django.fixtures import Settings

from accounts.lib.db import in_db
from chat.catalog import offered_models
from tests.fakes.dialects.anthropic import AnthropicWire
from tests.fakes.dialects.gemini import GeminiWire
from tests.fakes.dialects.script import KEY as DIALECT_KEY
from tests.fakes.dialects.script import Script
from tests.fakes.dialects.server import DialectServer
from tests.fakes.openai_server import FakeOpenAI
from tests.fixtures.offered_models import forget_models
from tests.integration.workers.endpoints.endpoint_rows import KEY, ask, defined, make_row, opened
from tests.integration.workers.endpoints.endpoint_rows import nothing_configured as nothing_configured  # a fixture
from tests.integration.workers.endpoints.endpoint_rows import one as one  # a fixture
from tests.integration.workers.endpoints.endpoint_rows import two as two  # a fixture
from workers.endpoints.service import EndpointSync, load_endpoints
from workers.models import Endpoint, EndpointModel
from workers.providers import discovery
from workers.providers.base import ChatTurn, ProviderError
from workers.providers.circuit_breaker import FAILURES
from workers.providers.config import Definition, Timeouts

pytestmark = pytest.mark.usefixtures("clean_redis", "nothing_configured")


class TestWhoServesWhat:
    async def test_each_model_by_its_endpoint_and_the_first_one_of_a_shared_name(
        self, one: FakeOpenAI, two: FakeOpenAI
    ) -> None:
        labelled = (("fake-tiny", "Tiny and quick"), ("shared", "Shared"))
        async with opened(defined("a", one), defined("b", two, models=labelled)) as router:
            assert [(offer["id"], offer["label"], offer["endpoint"]) for offer in router.catalog] == [
                ("fake-large", "fake-large", "a"),
                ("shared", "shared", "a"),
                ("fake-tiny", "Tiny and quick", "b"),
            ]
            for model, server in (("fake-large", one), ("shared", one), ("fake-tiny", two)):
                await ask(router, model)
                assert server.chats[-1].body["model"] == model
        assert {request.headers["authorization"] for request in one.chats} == {f"Bearer {KEY}"}
        assert (len(one.chats), len(two.chats)) == (2, 1)

    async def test_the_environment_comes_first_and_the_demo_goes(self, settings: Settings, one: FakeOpenAI) -> None:
        row = defined("a", one, models=(("fake-large", "Large"),))
        async with opened(row) as router:
            assert [offer["id"] for offer in router.catalog] == ["fake-large"]
        async with opened(defined("a", one, offered=False)) as router:
            assert [offer["id"] for offer in router.catalog] == ["demo"]
        settings.OPENAI_BASE_URL, settings.CHAT_MODELS = "http://127.0.0.1:1/v1", ["of-the-environment"]
        async with opened(row) as router:
            assert [offer["id"] for offer in router.catalog] == ["of-the-environment", "fake-large"]

    async def test_the_other_one_stands_in(self, two: FakeOpenAI) -> None:
        down = defined(
            "a", "http://127.0.0.1:1/v1", models=(("large", "Large"),), fallback="b", fallback_model="fake-tiny"
        )
        standby = defined("b", two.url.replace("127.0.0.1", "localhost"), offered=False)
        async with opened(down, standby) as router:
            assert [offer["id"] for offer in router.catalog] == ["large"]
            said, asked = await ask(router, "large")
        assert said == "tok0 tok1 "
        assert asked[-1] == (f"localhost:{two.port}", "fake-tiny")

    async def test_a_models_own_timeouts_count_more_than_its_endpoints(self, one: FakeOpenAI) -> None:
        short, long = (Timeouts(connect=5.0, first_chunk=wait, idle=20.0, total=60.0) for wait in (0.3, 20.0))
        row = defined("a", one, timeouts=long, model_timeouts=(("shared", short),))
        async with opened(row) as router:
            assert (await ask(router, "fake-large", "tokens=1 first_delay=0.6"))[0] == "tok0 "
            with pytest.raises(ProviderError, match="upstream_timeout"):
                await ask(router, "shared", "tokens=1 first_delay=20")

    async def test_one_that_is_down_fails_alone_and_soon_at_once(self, one: FakeOpenAI) -> None:
        down = defined("a", "http://127.0.0.1:1/v1", models=(("large", "Large"),))
        async with opened(down, defined("b", one)) as router:
            for _ in range(FAILURES):
                with pytest.raises(ProviderError, match="upstream_unreachable"):
                    await ask(router, "large")
            with pytest.raises(ProviderError, match="upstream_unavailable"):
                await ask(router, "large")
            assert (await ask(router, "shared"))[0] == "tok0 tok1 "

    async def test_a_model_that_another_worker_found_is_looked_for(
        self, one: FakeOpenAI, two: FakeOpenAI, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("workers.providers.router.REFRESH_SECONDS", 0.0)
        async with opened(defined("a", one), defined("b", two)) as router:
            two.models.append("brand-new")
            assert (await ask(router, "brand-new"))[0] == "tok0 tok1 "
            with pytest.raises(ProviderError, match="model_not_found"):
                await ask(router, "nowhere")


class TestChanges:
    async def test_answers_under_way_are_not_hurt(self, one: FakeOpenAI, two: FakeOpenAI) -> None:
        async with opened(defined("a", one)) as router:
            said: list[str] = []
            begun = asyncio.Event()

            async def listen() -> None:
                async with router.stream("shared", [ChatTurn("user", "[[tokens=30 rate=60]]")]) as answer:
                    async for chunks in answer:
                        said.extend(chunk.text for chunk in chunks)
                        begun.set()

            listening = asyncio.create_task(listen())
            await begun.wait()
            leaving = router.members["a"].chat
            assert router.set_endpoints([defined("b", two)])
            await router.refresh()
            assert (await ask(router, "shared"))[0] == "tok0 tok1 "
            assert len(two.chats) == 1
            assert not one.chats[0].ended.is_set(), "the answer must still be streaming"
            await listening
            assert "".join(said) == "".join(f"tok{number} " for number in range(30))
            async with asyncio.timeout(2):
                while not leaving.transport._http.is_closed:  # type: ignore[attr-defined]  # an OpenAIChat
                    await asyncio.sleep(0.01)

    async def test_new_names_and_labels_keep_the_connection_and_its_breaker(self, one: FakeOpenAI) -> None:
        async with opened(defined("a", one)) as router:
            await ask(router, "shared")
            before = router.members["a"]
            assert not router.set_endpoints([defined("a", one)]), "nothing has changed"
            assert router.set_endpoints([defined("a", one, models=(("shared", "Ours"),))])
            assert router.members["a"] is before
            assert [offer["label"] for offer in router.catalog] == ["Ours"]
            await ask(router, "shared")
            assert router.set_endpoints(
                [Definition(id="a", name="a", base_url=one.url, api_key="another", strict=True)]
            )
            assert router.members["a"] is not before
        assert len({request.connection for request in one.chats}) == 1

    async def test_one_that_cannot_be_asked_keeps_what_another_worker_published(
        self, one: FakeOpenAI, two: FakeOpenAI
    ) -> None:
        async with opened(defined("a", one), defined("b", two)) as router:
            await discovery.publish_offered(router)
        two.models_status = 500
        async with opened(defined("a", one), defined("b", two)) as router:  # a worker that starts now
            assert [offer["id"] for offer in router.catalog] == ["fake-large", "shared"]
            await discovery.publish_offered(router)
        assert [model["id"] for model in offered_models.offered_models()] == ["fake-large", "shared", "fake-tiny"]


@pytest.mark.django_db(transaction=True)
async def test_a_worker_sees_rows_come_change_and_go(one: FakeOpenAI) -> None:
    endpoint_sync = EndpointSync()
    await endpoint_sync.open()
    try:
        assert [offer["id"] for offer in endpoint_sync.router.catalog] == ["demo"]
        row = await in_db(make_row, one)
        await endpoint_sync.reload()
        assert [model["id"] for model in await in_db(offered_models.offered_models)] == [
            "fake-large",
            "shared",
        ]
        await in_db(EndpointModel.objects.create, endpoint=row, name="shared", label="Ours")
        await endpoint_sync.reload()
        forget_models()
        assert await in_db(offered_models.offered_models) == [{"id": "shared", "label": "Ours"}]
        await in_db(Endpoint.objects.update, use="off")
        await endpoint_sync.reload()
        forget_models()
        assert [model["id"] for model in await in_db(offered_models.offered_models)] == ["demo"]
    finally:
        await endpoint_sync.router.close()


class TestKinds:
    """Which API an endpoint speaks, and what staff add to its requests."""

    @pytest.mark.django_db(transaction=True)
    async def test_a_row_speaks_its_api_with_what_was_added(self) -> None:
        with DialectServer(AnthropicWire()) as server:
            row = Endpoint(name="One", base_url=server.url, kind="anthropic", extra_body={"temperature": 0.25})
            row.set_key(DIALECT_KEY)
            row.set_headers({"X-Router": "one"})
            await in_db(row.save)
            model = EndpointModel(endpoint=row, name="fake-large", extra_query={"trace": "on"})
            await in_db(model.save)
            [definition] = await in_db(load_endpoints)
            async with opened(definition) as router:
                said, _ = await ask(router, "fake-large")
        assert said == Script().text
        sent = server.chats[0]
        assert (sent.headers["x-router"], sent.query["trace"], sent.body["temperature"]) == ("one", "on", 0.25)
        assert not server.problems

    async def test_endpoints_of_the_settings(self, settings: Settings) -> None:
        with DialectServer(AnthropicWire()) as claude, DialectServer(GeminiWire()) as gemini:
            settings.ANTHROPIC_API_KEY = settings.GEMINI_API_KEY = DIALECT_KEY
            settings.ANTHROPIC_BASE_URL, settings.GEMINI_BASE_URL = claude.url, gemini.url
            async with opened() as router:
                offered = [(offer["id"], offer["endpoint"]) for offer in router.catalog]
                assert (await ask(router, "fake-large"))[0] == Script().text
        assert offered == [("fake-large", "environment"), ("fake-small", "environment")]
        assert claude.chats
        assert not claude.problems + gemini.problems
        assert discovery.describe() == (
            f"127.0.0.1:{claude.port} (the models it offers; CHAT_MODELS chooses), Anthropic Messages API;"
            f" 127.0.0.1:{gemini.port}"
        )

    async def test_extras_of_the_settings(self, settings: Settings, two: FakeOpenAI) -> None:
        settings.OPENAI_BASE_URL = two.url
        settings.OPENAI_EXTRAS = '{"headers": {"X-Title": "Antiphon"}, "models": {"shared": {"body": {"seed": 7}}}}'
        async with opened() as router:
            await ask(router, "shared")
            await ask(router, "fake-tiny")
        assert {chat.headers["x-title"] for chat in two.chats} == {"Antiphon"}
        assert [chat.body.get("seed") for chat in two.chats] == [7, None]
        settings.OPENAI_EXTRAS = '{"headers": {"Authorization": "s3cret"}}'
        with pytest.raises(ImproperlyConfigured, match="OPENAI_EXTRAS: The header Authorization") as caught:
            discovery.open_router()
        assert "s3cret" not in str(caught.value)

    async def test_another_dialect_stands_in(self) -> None:
        """Breakers and fallbacks are the same for all."""
        with DialectServer(GeminiWire()) as gemini:
            down = Definition(
                id="a", name="a", kind="anthropic", base_url="http://127.0.0.1:1", fallback="b",
                models=(("large", "Large"),), fallback_model="fake-large",
            )  # fmt: skip
            standby = Definition(
                id="b", name="b", kind="gemini", base_url=gemini.url, api_key=DIALECT_KEY, offered=False
            )
            async with opened(down, standby) as router:
                said, asked = await ask(router, "large")
        assert said == Script().text
        assert asked[-1] == (urlsplit(gemini.url).netloc, "fake-large")
