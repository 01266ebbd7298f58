"""The HTTP client of an endpoint."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest

from workers.providers.config import Timeouts
from workers.providers.http.transport import Transport
from workers.providers.openai.dialect import OpenAIDialect

ADDRESS = "https://models.example.org/v1"


async def tls_of(**options: Any) -> ssl.SSLContext:
    transport = Transport(OpenAIDialect(), ADDRESS, "a-key-of-this-endpoint", Timeouts.from_settings(), **options)
    context = transport._http._transport.ssl_context  # type: ignore[attr-defined]
    await transport._http.aclose()
    assert isinstance(context, ssl.SSLContext)
    return context


async def test_certificates_are_read_once_for_all_endpoints(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Reading them stops the event loop for a tenth of a second, in which no answer of this process goes on."""
    first = await tls_of()
    assert (first.verify_mode, first.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert await tls_of(strict=True) is first
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    assert await tls_of() is not first, "other certificates were asked for"
