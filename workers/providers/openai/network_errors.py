"""Exceptions of the `openai` package and the transport below it, as `ProviderError`."""

from __future__ import annotations

import ssl
from typing import Final

import aiohttp
import httpx2
import openai

from workers.providers.base import ProviderError
from workers.providers.openai.errors import error_from_answer, scrub
from workers.providers.openai.sse import CUT
from workers.providers.url_policy import RefusedAddressError

EDGE_ERRORS: Final = (
    openai.OpenAIError,
    httpx2.HTTPError,
    httpx2.InvalidURL,
    httpx2.StreamError,
    aiohttp.ClientError,
    TimeoutError,
    OSError,
)

_UNREACHABLE: Final = "The model's server cannot be reached. Please try again."
_NOT_FOUND: Final = "The model's server has no such name. An administrator must check the endpoint's address."
_TLS: Final = "There is no secure connection to the model's server. An administrator must check its certificate."
_ADDRESS: Final = "The address of the model's server is not valid. An administrator must check the endpoint's address."
_REFUSED: Final = "The model's server has an address that is not allowed. An administrator must change it."
_CLOSED: Final = "The model's server closed the connection before it answered. Please try again."

# The transport renames what it catches (a reset reads as a connect timeout there), so the first cause counts, and the
# most special class comes first: (exception, code, sentence, retryable, reason).
_TABLE: Final[tuple[tuple[type[BaseException], str, str, bool, str], ...]] = (
    (RefusedAddressError, "upstream_unreachable", _REFUSED, False, "address"),
    (aiohttp.ClientConnectorDNSError, "upstream_unreachable", _NOT_FOUND, True, "name"),
    (aiohttp.ClientSSLError, "upstream_unreachable", _TLS, False, "tls"),
    (ssl.SSLError, "upstream_unreachable", _TLS, False, "tls"),
    (aiohttp.ConnectionTimeoutError, "upstream_unreachable", _UNREACHABLE, True, "connect"),
    (ConnectionRefusedError, "upstream_unreachable", _UNREACHABLE, True, "refused"),
    (aiohttp.ClientConnectorError, "upstream_unreachable", _UNREACHABLE, True, "connect"),
    (aiohttp.InvalidURL, "upstream_unreachable", _ADDRESS, False, "address"),
    (httpx2.InvalidURL, "upstream_unreachable", _ADDRESS, False, "address"),
    (httpx2.UnsupportedProtocol, "upstream_unreachable", _ADDRESS, False, "address"),
    (aiohttp.ServerDisconnectedError, "upstream_cut", _CLOSED, True, ""),
    (aiohttp.ClientPayloadError, "upstream_cut", CUT, True, ""),
    (aiohttp.ClientResponseError, "upstream_garbage", "The model's server does not speak HTTP.", False, ""),
    (TimeoutError, "upstream_timeout", "The model's server took too long. Please try again.", False, ""),
    (OSError, "upstream_cut", _CLOSED, True, ""),
    (aiohttp.ClientError, "upstream_cut", _CLOSED, True, ""),
    (httpx2.HTTPError, "upstream_cut", _CLOSED, True, ""),
)


def translate(error: Exception, secrets: tuple[str, ...], *, answering: bool = False) -> ProviderError:
    """What `error` means. `answering` is true once bytes of the answer came."""
    if isinstance(error, openai.APIStatusError):
        return error_from_answer(error.status_code, error.body, error.response.headers, secrets=secrets)
    causes = [error]
    while isinstance(causes[-1].__cause__, Exception):
        causes.append(causes[-1].__cause__)
    for kind, code, message, retryable, reason in _TABLE:
        for cause in reversed(causes):
            if isinstance(cause, kind):
                if code == "upstream_cut" and answering:
                    message = CUT
                detail = scrub(f"{type(cause).__name__}: {cause}", secrets)
                return ProviderError(code, message, retryable=retryable, detail=detail, reason=reason)
    return ProviderError(
        "upstream_error", "The model could not be asked.", detail=scrub(f"{type(error).__name__}: {error}", secrets)
    )
