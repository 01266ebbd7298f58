"""The key is in no exception, no repr and no log, whatever an endpoint does with it."""

from __future__ import annotations

import logging
import traceback

import pytest
import structlog

from tests.fakes.listening import Endpoints, listen
from tests.fakes.openai_server import FakeOpenAI
from workers.providers.base import ProviderError

CANARY = "sk-canary-7f3a"
PASSWORD = "pass-canary-91c2"


def everything_said(error: BaseException) -> str:
    """The exception as a crash reporter would show it: the whole chain with each frame's locals, but the test's own."""
    assert error.__traceback__ is not None
    error.__traceback__ = error.__traceback__.tb_next
    shown = traceback.TracebackException.from_exception(error, capture_locals=True)
    assert any(place in str(shown.stack) for place in ("http/request.py", "http/client.py"))
    return "".join(shown.format()) + repr(error) + str(vars(error))


def assert_no_secret(text: str) -> None:
    for secret in (CANARY, PASSWORD, "cGFzcy1jYW5hcnk"):  # the last one begins the password in base64
        assert secret not in text


@pytest.mark.parametrize(
    "script",
    [
        "status=401 echo_key=1",
        "status=400 echo_key=1",
        "status=500 echo_key=1",
        "disconnect=1",
        "cut=0",
        "cut=3 rate=100",
        "reset=3 rate=100",
        "error=0 echo_key=1",
        "error=3 rate=100 echo_key=1",
        "garbage=2",
        "body=html",
        "accept_delay=9",
        "hang=2 rate=100",
    ],
)
async def test_failures(
    upstream: FakeOpenAI, endpoints: Endpoints, script: str, caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    upstream.api_key = CANARY
    caplog.set_level(logging.DEBUG)
    url = upstream.url.replace("http://", f"http://alice:{PASSWORD}@")
    endpoint = endpoints.open(url, key=CANARY, first_chunk=0.5, idle=0.3)
    with structlog.testing.capture_logs() as entries, pytest.raises(ProviderError) as caught:
        await listen(endpoint, script)
    assert CANARY in upstream.chats[0].headers["authorization"], "the key went out"
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None
    out, err = capfd.readouterr()
    assert_no_secret("".join([everything_said(caught.value), repr(endpoint), caplog.text, str(entries), out, err]))


@pytest.mark.parametrize("url", ["http://alice:{}@127.0.0.1:1/v1", "https://alice:{}@127.0.0.1:1/v1"])
@pytest.mark.parametrize("key", [CANARY, ""])
async def test_unreachable(endpoints: Endpoints, url: str, key: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    endpoint = endpoints.open(url.format(PASSWORD), key=key)
    with pytest.raises(ProviderError) as caught:
        await listen(endpoint)
    assert_no_secret(everything_said(caught.value) + caplog.text)


async def test_the_list_of_models(upstream: FakeOpenAI, endpoints: Endpoints, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(ProviderError) as caught:
        await endpoints.open(key=CANARY).models()
    assert caught.value.code == "upstream_unauthorized"
    assert_no_secret(everything_said(caught.value) + caplog.text)
