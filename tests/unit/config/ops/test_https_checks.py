"""The doctor asks the running web process whether it requires https; its own settings say only what is expected."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable, Generator
from typing import Any

import pytest

from config.ops.findings import Level
from config.ops.https_checks import check_https


class Web(http.server.BaseHTTPRequestHandler):
    """A web process as HTTPS=1 or HTTPS=0 makes it."""

    https = True
    known_host = "chat.example.org"

    def do_GET(self) -> None:
        if self.headers["Host"] != self.known_host:
            self.send_response(400)
        elif self.https and self.headers["X-Forwarded-Proto"] != "https":
            self.send_response(301)
            self.send_header("Location", f"https://{self.known_host}{self.path}")
        else:
            self.send_response(200)
            self.send_header(
                "Set-Cookie", "__Host-csrftoken=x; Path=/; Secure" if self.https else "csrftoken=x; Path=/"
            )
            if self.https:
                self.send_header("Strict-Transport-Security", "max-age=31536000")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        pass


@pytest.fixture
def web() -> Generator[Callable[..., str], None, None]:
    servers: list[http.server.HTTPServer] = []

    def start(**options: Any) -> str:
        servers.append(http.server.HTTPServer(("127.0.0.1", 0), type("One", (Web,), options)))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(autouse=True)
def settings_of_a_site(settings: Any) -> None:
    settings.ALLOWED_HOSTS, settings.ALLOWED_ORIGINS = ["chat.example.org"], ["https://chat.example.org"]
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 1


def test_a_process_that_requires_https(web: Callable[..., str], settings: Any) -> None:
    level, said, _ = check_https(web())
    assert (level, "Secure" in said) == (Level.OK, True)
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 0
    level, said, advice = check_https(web())
    assert level is Level.WARN
    assert "TRUSTED_PROXIES" in advice


def test_plain_http_for_an_https_origin_fails_whatever_the_doctors_own_setting_is(
    web: Callable[..., str], settings: Any
) -> None:
    settings.HTTPS = True
    level, said, advice = check_https(web(https=False))
    assert level is Level.FAIL
    assert "plain http" in said
    assert "HTTPS" in advice


def test_plain_http_is_right_on_this_machine_only(web: Callable[..., str], settings: Any) -> None:
    settings.ALLOWED_HOSTS, settings.ALLOWED_ORIGINS = ["localhost", "127.0.0.1"], []
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 0
    url = web(https=False, known_host="localhost")
    assert check_https(url)[0] is Level.OK
    settings.ALLOWED_HOSTS = ["localhost", "chat.example.org"]
    assert check_https(url)[0] is Level.WARN


def test_a_host_that_is_refused_and_a_process_that_is_away(web: Callable[..., str]) -> None:
    level, said, _ = check_https(web(known_host="elsewhere.example.org"))
    assert level is Level.FAIL
    assert "400" in said
    assert check_https("http://127.0.0.1:9")[0] is Level.FAIL
