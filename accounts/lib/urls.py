"""Checks of HTTP addresses that settings and staff enter."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit


def split_url(url: str) -> SplitResult:
    """The parts of a URL. Raises `ValueError` also for a bad port or host, which `urlsplit` alone notices later."""
    parts = urlsplit(url)
    _ = parts.port, parts.hostname
    return parts


def is_http(parts: SplitResult) -> bool:
    """Whether the scheme is http or https and there is a host."""
    return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
