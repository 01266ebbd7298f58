"""`accounts.auth.origins`: only what a browser sends is an origin, and it is compared in full."""

from __future__ import annotations

import pytest

from accounts.auth.origins import Origin, parse_origin


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://chat.example.org", Origin("https", "chat.example.org", 443)),
        ("https://chat.example.org:443", Origin("https", "chat.example.org", 443)),
        ("http://localhost:8000", Origin("http", "localhost", 8000)),
        ("http://[::1]:8000", Origin("http", "[::1]", 8000)),
        ("http://127.0.0.1", Origin("http", "127.0.0.1", 80)),
    ],
)
def test_reads_origins(text: str, origin: Origin) -> None:
    assert parse_origin(text) == origin


@pytest.mark.parametrize(
    "text",
    [
        "null", "", "*", "https://", "https://*.example.org", "https://chat.example.org/", "https://a@chat.example.org",
        "https://chat.example.org:", "https://chat.example.org:0", "https://chat.example.org:65536", "ftp://example.org",
        "chat.example.org", " https://chat.example.org", "https://chat.example.org\n", "https://chät.example.org",
        "https://CHAT.example.org", "http://localhost:8000, http://evil.example", "http://localhost:٨٠",
    ],
)  # fmt: skip
def test_refuses_everything_else(text: str) -> None:
    assert parse_origin(text) is None
