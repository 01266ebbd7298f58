"""Exceptions of the HTTP transport as `ProviderError`."""

from __future__ import annotations

import ssl
from typing import Final

import aiohttp
import httpx2
from django.utils.translation import gettext as _

from accounts.lib.texts import gettext_noop
from workers.providers.address_policy import RefusedAddressError
from workers.providers.base import ProviderError
from workers.providers.http.error_kinds import NOT_SET_UP, TOO_SLOW
from workers.providers.http.errors import scrub
from workers.providers.http.reader import CUT

EDGE_ERRORS: Final = (
    httpx2.HTTPError,
    httpx2.InvalidURL,
    httpx2.StreamError,
    aiohttp.ClientError,
    TimeoutError,
    OSError,
)

_UNREACHABLE: Final = gettext_noop("The model can't be reached right now. Please try again.")
_CLOSED: Final = gettext_noop("The connection to the model was lost before it answered. Please try again.")

# The transport wraps what it catches (a reset becomes a connect timeout), so the first cause counts, and the most
# specific class comes first: (exception, code, sentence, retryable, reason).
_TABLE: Final[tuple[tuple[type[BaseException], str, str, bool, str], ...]] = (
    (RefusedAddressError, "upstream_unreachable", NOT_SET_UP, False, "address"),
    (aiohttp.ClientConnectorDNSError, "upstream_unreachable", NOT_SET_UP, True, "name"),
    (aiohttp.ClientSSLError, "upstream_unreachable", NOT_SET_UP, False, "tls"),
    (ssl.SSLError, "upstream_unreachable", NOT_SET_UP, False, "tls"),
    (aiohttp.ConnectionTimeoutError, "upstream_unreachable", _UNREACHABLE, True, "connect"),
    (ConnectionRefusedError, "upstream_unreachable", _UNREACHABLE, True, "refused"),
    (aiohttp.ClientConnectorError, "upstream_unreachable", _UNREACHABLE, True, "connect"),
    (aiohttp.InvalidURL, "upstream_unreachable", NOT_SET_UP, False, "address"),
    (httpx2.InvalidURL, "upstream_unreachable", NOT_SET_UP, False, "address"),
    (httpx2.UnsupportedProtocol, "upstream_unreachable", NOT_SET_UP, False, "address"),
    (httpx2.TooManyRedirects, "upstream_error", NOT_SET_UP, False, "redirects"),
    (aiohttp.ServerDisconnectedError, "upstream_cut", _CLOSED, True, ""),
    (aiohttp.ClientPayloadError, "upstream_cut", CUT, True, ""),
    (aiohttp.ClientResponseError, "upstream_garbage", NOT_SET_UP, False, ""),
    (TimeoutError, "upstream_timeout", TOO_SLOW, False, ""),
    (OSError, "upstream_cut", _CLOSED, True, ""),
    (aiohttp.ClientError, "upstream_cut", _CLOSED, True, ""),
    (httpx2.HTTPError, "upstream_cut", _CLOSED, True, ""),
)


def translate(error: Exception, secrets: tuple[str, ...], *, answering: bool = False) -> ProviderError:
    """The `ProviderError` for `error`. `answering` is true once bytes of the answer have arrived."""
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
    detail = scrub(f"{type(error).__name__}: {error}", secrets)
    return ProviderError("upstream_error", _("The model can't be used right now. Please try again."), detail=detail)
