"""Whether a stack is behind TLS follows from its settings, or the start is refused."""

from __future__ import annotations

import pytest

from config.stack.errors import StackError
from config.stack.https import behind_tls

HTTP, HTTPS = ("http://chat.example.org",), ("http://localhost:8000", "https://chat.example.org")


@pytest.mark.parametrize(
    ("host", "origins", "proxies", "explicit", "https"),
    [
        ("127.0.0.1", (), 0, None, False),
        ("127.0.0.1", HTTP, 0, None, False),
        ("127.0.0.1", HTTPS, 0, None, True),
        ("127.0.0.1", (), 1, None, True),
        ("127.0.0.1", (), 1, False, False),
        ("127.0.0.1", (), 0, True, True),
        ("0.0.0.0", (), 0, None, True),
        ("0.0.0.0", HTTP, 0, False, False),
    ],
)
def test_it_follows_from_the_settings(
    host: str, origins: tuple[str, ...], proxies: int, explicit: bool | None, https: bool
) -> None:
    assert behind_tls(host, origins, proxies, explicit) is https


def test_plain_http_for_an_https_origin_is_refused() -> None:
    with pytest.raises(StackError, match=r"https://chat\.example\.org"):
        behind_tls("127.0.0.1", HTTPS, 1, explicit=False)
