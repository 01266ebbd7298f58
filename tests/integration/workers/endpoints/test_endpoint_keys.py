"""Keys of endpoints are encrypted and shown nowhere, and addresses lead only where they may."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from pytest_django.fixtures import Settings

from accounts.lib.encryption import UnreadableError, decrypt, encrypt
from tests.fakes.openai_server import FakeOpenAI
from tests.integration.workers.endpoints.endpoint_rows import KEY, ask, defined, make_row, opened
from tests.integration.workers.endpoints.endpoint_rows import nothing_configured as nothing_configured  # a fixture
from tests.integration.workers.endpoints.endpoint_rows import one as one  # a fixture
from workers.endpoints.service import UNREADABLE, load_endpoints
from workers.models import Endpoint, EndpointModel
from workers.providers.base import ProviderError

pytestmark = pytest.mark.usefixtures("clean_redis", "nothing_configured")


class TestKeys:
    """At rest they are ciphertext; another secret reads nothing, and says so."""

    pytestmark = pytest.mark.django_db

    def test_the_row_holds_no_key(self, one: FakeOpenAI) -> None:
        row = Endpoint.objects.get(pk=make_row(one).pk)
        assert KEY not in str(vars(row))
        assert row.read_key() == KEY
        assert load_endpoints()[0].api_key == KEY
        assert KEY not in repr(load_endpoints())
        row.set_key("")
        assert (row.encrypted_key, row.key_set_at, row.read_key()) == ("", None, "")

    def test_rotation(self, settings: Settings, one: FakeOpenAI) -> None:
        row = make_row(one)
        old, new = "o" * 32, "n" * 32
        for keys in ([old], [new, old]):
            settings.ENCRYPTION_KEYS = keys
            assert row.read_key() == KEY, "what was encrypted before stays readable"
            call_command("reencrypt")
            row.refresh_from_db()
        settings.ENCRYPTION_KEYS, settings.SECRET_KEY = [new], "another"
        assert row.read_key() == KEY, "under the first key alone"
        settings.ENCRYPTION_KEYS = [old]
        with pytest.raises(UnreadableError):
            row.read_key()

    def test_rotation_of_headers(self, settings: Settings, one: FakeOpenAI) -> None:
        row = make_row(one)
        model = EndpointModel(endpoint=row, name="large")
        for holder in (row, model):
            holder.set_headers({"X-Router": KEY})
            holder.save()
        settings.ENCRYPTION_KEYS = ["n" * 32]
        call_command("reencrypt")
        settings.SECRET_KEY = "another-secret-of-this-installation-entirely"
        assert Endpoint.objects.get().read_extras().headers == {"X-Router": KEY}
        assert EndpointModel.objects.get().read_extras().headers == {"X-Router": KEY}

    def test_a_backup_that_came_back_without_its_secret(
        self, settings: Settings, one: FakeOpenAI, capsys: pytest.CaptureFixture[str]
    ) -> None:
        make_row(one, "Restored")
        make_row(one, "Off", use="off")
        settings.SECRET_KEY = "another"
        [row] = load_endpoints()
        assert (row.trouble, row.api_key) == (UNREADABLE, "")
        with pytest.raises(CommandError, match=r"Off, Restored"):
            call_command("reencrypt")
        assert "ENCRYPTION_KEYS" in UNREADABLE

    async def test_an_endpoint_without_a_readable_key_is_left_out_and_harms_nobody(self, one: FakeOpenAI) -> None:
        async with opened(defined("a", one, trouble=UNREADABLE), defined("b", one)) as router:
            assert list(router.members) == ["b"]
            assert (await ask(router, "shared"))[0] == "tok0 tok1 "
        async with opened(defined("a", one, trouble=UNREADABLE)) as router:
            assert router.catalog == [], "the demo would say that nothing is connected"

    def test_two_of_the_same_secret_differ(self) -> None:
        assert encrypt(KEY) != encrypt(KEY)
        assert decrypt(encrypt("ключ 🔑")) == "ключ 🔑"


class TestAddresses:
    pytestmark = pytest.mark.django_db

    @pytest.mark.parametrize(
        ("url", "words"),
        [
            ("ftp://host/v1", "http://"),
            ("file:///etc/passwd", "http://"),
            ("api.openai.com", "http://"),
            ("http://", "Enter an address such as"),
            ("http://[::1/v1", "Enter an address such as"),
            ("http://h:99999/", "Enter an address such as"),
            ("https://user:pw-canary@host/v1", "user name or password"),
            ("https://host/v1?api-key=pw-canary", "must not contain a key or token"),
            ("https://host/v1#pw-canary", "must not contain #"),
            ("https://host/v1/chat/completions", "Enter only the part"),
            ("http://169.254.169.254/latest", "cloud providers"),
            ("http://[::ffff:169.254.169.254]/", "cloud providers"),
            ("http://[::169.254.169.254]/", "cloud providers"),
            ("http://[64:ff9b::a9fe:a9fe]/", "cloud providers"),
            ("http://[fd00:ec2::254]/", "cloud providers"),
            ("http://[fe80::1]/v1", "cloud providers"),
            ("http://2852039166/", "cloud providers"),  # 169.254.169.254
            ("http://0.0.0.0:8000/v1", "cloud providers"),
        ],
    )
    def test_refused(self, url: str, words: str) -> None:
        with pytest.raises(ValidationError) as caught:
            Endpoint(name="x", base_url=url).full_clean()
        assert words in str(caught.value)
        assert "pw-canary" not in str(caught.value)

    @pytest.mark.parametrize(
        "url", ["http://127.0.0.1:11434/v1/", "http://gpu.local:8000/v1", "http://10.0.0.5/v1", "http://[::1]:8000/v1"]
    )
    def test_the_private_network_is_where_models_run(self, url: str) -> None:
        row = Endpoint(name="x", base_url=url)
        row.full_clean()
        assert row.base_url == url.rstrip("/")

    async def test_a_name_of_a_refused_address_is_found_out_when_it_connects(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As with metadata.google.internal, or a name that changes its mind."""
        real = asyncio.get_running_loop().getaddrinfo

        async def lie(host: str, port: int, **more: Any) -> Any:
            return await real("169.254.169.254" if host == "innocent.example" else host, port, **more)

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", lie)
        for url in ("http://innocent.example/v1", "http://169.254.169.254/v1"):
            async with opened(defined("a", url, models=(("m", "m"),))) as router:
                with pytest.raises(ProviderError) as caught:
                    await ask(router, "m")
            assert caught.value.reason == "address", url
