"""Which endpoint is used, and how its models reach the web processes through Redis."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
import time

import pytest
import redis
from django.core.exceptions import ImproperlyConfigured
from pytest_django.fixtures import Settings

from accounts.lib.redis import sync_redis
from chat.catalog import offered_models
from chat.protocol.errors import Invalid, Unavailable
from tests.fakes.dialects.ollama import OllamaWire
from tests.fakes.dialects.script import MODEL, Script
from tests.fakes.dialects.server import DialectServer
from tests.fakes.openai_server import FakeOpenAI
from tests.fixtures.offered_models import forget_models
from workers.providers import discovery
from workers.providers.base import ChatTurn, ProviderError
from workers.providers.demo import DemoModel
from workers.providers.http.client import HttpChat
from workers.providers.router import ModelRouter

DEMO = {"id": "demo", "label": "Demo (no model connected)"}


@pytest.fixture(autouse=True)
def nothing_configured(settings: Settings, clean_redis: str) -> None:
    settings.OPENAI_BASE_URL = ""
    settings.OPENAI_API_KEY = ""
    settings.OLLAMA_URL = "http://127.0.0.1:1"
    settings.CHAT_MODELS = []
    forget_models()


def clients(router: ModelRouter) -> list[type]:
    return [type(member.chat) for member in router.members.values()]


class TestChoice:
    async def test_the_demo_where_there_is_nothing(self) -> None:
        assert discovery.find_endpoint().kind == "demo"
        assert clients(discovery.open_router()) == [DemoModel]
        assert discovery.describe().startswith("demo model; set OPENAI_API_KEY or OPENAI_BASE_URL")
        assert discovery.describe(others_serve=True) == "no endpoint; those of the admin serve all models"

    async def test_a_local_ollama_is_asked_in_its_own_api(self, settings: Settings) -> None:
        with DialectServer(OllamaWire()) as server:
            settings.OLLAMA_URL = f"{server.url}/"
            assert discovery.find_endpoint() == ("ollama", server.url, True)
            assert discovery.describe().startswith(f"Ollama at 127.0.0.1:{server.port}")
            router = discovery.open_router()
            assert await router.models() == [MODEL]
            assert router.window_of(MODEL).tokens == 16_384, "what is loaded, which only its own API tells"
            async with router.stream(MODEL, [ChatTurn("user", "Hello?")]) as answer:
                assert "".join([chunk.text async for chunks in answer for chunk in chunks]) == Script().text
            assert [one.path for one in server.chats] == ["/api/chat"]
            await router.close()

    async def test_what_passes_for_an_ollama(self, settings: Settings, upstream: FakeOpenAI) -> None:
        upstream.api_key = ""
        settings.OLLAMA_URL = upstream.url.removesuffix("/v1")
        assert discovery.find_endpoint().kind == "openai_chat"
        assert discovery.describe().startswith(f"Ollama at 127.0.0.1:{upstream.port}")
        model = discovery.open_router()
        assert await model.models() == ["fake-large", "fake-small"]
        await model.close()

    def test_something_else_on_ollamas_port(self, settings: Settings, upstream: FakeOpenAI) -> None:
        settings.OLLAMA_URL = upstream.url.removesuffix("/v1")
        upstream.ollama = False
        assert discovery.find_endpoint().kind == "demo"

    async def test_what_is_configured_comes_first(self, settings: Settings, upstream: FakeOpenAI) -> None:
        settings.OLLAMA_URL = upstream.url.removesuffix("/v1")
        settings.OPENAI_BASE_URL = "https://alice:secret@models.example.org:8443/v1"
        settings.CHAT_MODELS = ["one", "two"]
        assert discovery.describe() == "models.example.org:8443 (one, two)"
        model = discovery.open_router()
        assert clients(model) == [HttpChat]
        await model.close()

    def test_a_key_alone_means_openai(self, settings: Settings) -> None:
        settings.OPENAI_API_KEY = "sk-x"
        assert discovery.find_endpoint().kind == "openai_chat"
        assert discovery.describe().startswith("api.openai.com")

    @pytest.mark.parametrize(
        "url", ["localhost:8000/v1", "http://[::1/v1", "ftp://:pw@host/v1", "http://h:x/", "https://"]
    )
    @pytest.mark.parametrize("name", ["OPENAI_BASE_URL", "OPENAI_FALLBACK_BASE_URL", "OLLAMA_URL"])
    async def test_an_address_that_is_none(self, settings: Settings, name: str, url: str) -> None:
        setattr(settings, name, url)
        with pytest.raises(ImproperlyConfigured, match=f"^{name}: ") as caught:
            discovery.open_router()
        assert "pw" not in str(caught.value)


class TestOffered:
    async def test_what_the_endpoint_lists(self, settings: Settings, upstream: FakeOpenAI) -> None:
        settings.OPENAI_BASE_URL, settings.OPENAI_API_KEY = upstream.url, upstream.api_key
        upstream.models = ["text-embedding-3", "gpt-4o", "whisper-1", "gpt-5-mini", "gpt-4o-realtime"]
        model = discovery.open_router()
        await discovery.publish_offered(model)
        await model.close()
        assert [entry["id"] for entry in offered_models.offered_models()] == ["gpt-5-mini", "gpt-4o"]
        assert 200 < int(str(sync_redis().ttl(offered_models.KEY))) <= offered_models.PUBLISHED_SECONDS

    async def test_the_operators_list_even_while_the_endpoint_is_down(self, settings: Settings) -> None:
        settings.OPENAI_BASE_URL = "http://127.0.0.1:1/v1"
        settings.CHAT_MODELS = ["two", "one"]
        model = discovery.open_router()
        await discovery.publish_offered(model)
        await model.close()
        assert offered_models.offered_models() == [{"id": "two", "label": "two"}, {"id": "one", "label": "one"}]

    async def test_a_failed_look_keeps_the_last_list_for_a_while(
        self, settings: Settings, upstream: FakeOpenAI, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settings.OPENAI_BASE_URL, settings.OPENAI_API_KEY = upstream.url, upstream.api_key
        model = discovery.open_router()
        await discovery.publish_offered(model)
        upstream.models_status = 500
        await discovery.publish_offered(model)
        assert [entry["id"] for entry in offered_models.offered_models()] == ["fake-large", "fake-small"]
        monkeypatch.setattr("workers.providers.router.PUBLISHED_SECONDS", 0.0)  # it has been away for too long
        with pytest.raises(ProviderError, match="upstream_error"):
            await discovery.publish_offered(model)
        await model.close()

    async def test_the_demo_is_named(self) -> None:
        await discovery.publish_offered(discovery.open_router())
        assert offered_models.offered_models() == [DEMO]


class TestCatalog:
    def test_before_a_worker_was_there(self, settings: Settings) -> None:
        assert offered_models.offered_models() == [DEMO]
        settings.CHAT_MODELS = ["one"]
        forget_models()
        assert offered_models.offered_models() == [{"id": "one", "label": "one"}]

    def test_an_endpoint_whose_models_are_not_known_yet(self, settings: Settings) -> None:
        settings.OPENAI_API_KEY = "sk-x"
        assert offered_models.offered_models() == []
        with pytest.raises(Unavailable):
            offered_models.check_model("")

    def test_checking(self) -> None:
        offered_models.publish_models([{"id": "one", "label": "One"}, {"id": "two", "label": "Two"}])
        assert offered_models.check_model("two") == "two"
        assert offered_models.check_model("") == "one"
        assert offered_models.check_model(None) == "one"
        with pytest.raises(Invalid):
            offered_models.check_model("three")

    def test_a_new_list_is_seen_soon(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(offered_models, "CACHED_SECONDS", 0.2)
        offered_models.publish_models([{"id": "one", "label": "One"}])
        assert offered_models.check_model(None) == "one"
        offered_models.publish_models([{"id": "two", "label": "Two"}])
        assert offered_models.check_model(None) == "one"
        deadline = time.monotonic() + 5
        while offered_models.check_model(None) != "two":
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def test_nobody_waits_for_a_redis_that_is_gone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(offered_models, "CACHED_SECONDS", 0.0)
        offered_models.publish_models([{"id": "one", "label": "One"}])
        assert offered_models.check_model(None) == "one"
        asked = threading.Event()
        monkeypatch.setattr(offered_models, "sync_redis", lambda: BlackHole(asked))
        started = time.monotonic()
        while not asked.is_set():
            assert offered_models.check_model(None) == "one"
        assert time.monotonic() - started < 1

    def test_the_first_look_is_not_waited_for_without_end(self, monkeypatch: pytest.MonkeyPatch) -> None:
        asked = threading.Event()
        monkeypatch.setattr(offered_models, "sync_redis", lambda: BlackHole(asked))
        started = time.monotonic()
        assert offered_models.offered_models() == [DEMO]
        assert time.monotonic() - started < offered_models.FIRST_SECONDS + 1


class BlackHole:
    """A Redis that does not answer for a while, then times out."""

    def __init__(self, asked: threading.Event) -> None:
        self.asked = asked

    def get(self, key: str) -> bytes:
        self.asked.set()
        time.sleep(2)
        raise redis.TimeoutError


def test_web_processes_and_the_choice_load_no_model_package() -> None:
    """Loading `openai` takes a second and 60 MB: only a worker with an endpoint does."""
    program = """
        import sys, django
        django.setup()
        import config.asgi, chat.catalog, workers.providers.discovery as registry
        registry.describe()
        sys.exit(any(name.split(".")[0] == "openai" for name in sys.modules))
    """
    env = {**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings"}
    assert subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=False, env=env).returncode == 0
