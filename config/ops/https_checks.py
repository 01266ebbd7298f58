"""Whether the running web process sends cookies and pages over https only. A request finds out, since the settings of
this command may differ from those of that process.
"""

from __future__ import annotations

import http.client
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from django.conf import settings

from accounts.auth.origins import parse_origin
from config.env import stack_url
from config.ops.findings import FAIL, LOOPBACK_NAMES, OK, WARN, Found

SECONDS: Final = 5.0
PAGE: Final = "/accounts/login/"  # for everybody, and it sets a cookie


@dataclass(frozen=True)
class Reply:
    """What tells how a process was configured: a redirect to https, HSTS, and whether its cookies are Secure."""

    status: int
    location: str
    hsts: str
    cookies: list[str]

    @property
    def is_redirect(self) -> bool:
        return self.status in (301, 308) and self.location.startswith("https://")

    @property
    def bare_cookies(self) -> list[str]:
        """The names of cookies that a browser would also send over plain http."""
        return [text.partition("=")[0] for text in self.cookies if "secure" not in _attributes(text)]


def check_https(url: str) -> Found:
    url = url or stack_url(settings.VAR_DIR, "url")
    if not url:
        return (WARN, "The address of the web process is not known.", "Pass it: --url http://127.0.0.1:8000")
    origins = [origin for origin in settings.ALLOWED_ORIGINS if origin.lower().startswith("https://")]
    host = _host(origins)
    try:
        plain, forwarded = _ask(url, host, "http"), _ask(url, host, "https")
    except (OSError, http.client.HTTPException) as error:
        return (FAIL, f"{url}{PAGE} does not answer ({type(error).__name__}).", "See the check `web`.")
    if forwarded.status != 200:
        said = f"{url}{PAGE} answers {forwarded.status} to a proxy's request for {host}."
        return (FAIL, said, "Add the host to ALLOWED_HOSTS, restart, and check again.")
    is_on = bool(plain.is_redirect and forwarded.hsts and not forwarded.bare_cookies)
    if is_on and not settings.ALLAUTH_TRUSTED_PROXY_COUNT:
        return (
            WARN,
            "The web process requires https, but trusts no proxy: limits and logs have its address for all users.",
            "Set TRUSTED_PROXIES to the number of proxies in front.",
        )
    if is_on:
        return OK, "The web process redirects to https, sends HSTS, and its cookies are Secure.", ""
    if origins or settings.ALLAUTH_TRUSTED_PROXY_COUNT or not set(settings.ALLOWED_HOSTS) <= LOOPBACK_NAMES:
        return (
            FAIL if origins else WARN,
            "The web process serves plain http: passwords and cookies can be read on their way.",
            "Unset HTTPS and restart; a proxy with TLS in front sets X-Forwarded-Proto (docs/operations.md).",
        )
    return OK, "The web process serves plain http, for this machine only.", ""


def _host(origins: list[str]) -> str:
    """A host that the process answers to, as a proxy passes it on."""
    found = parse_origin(origins[0].lower()) if origins else None
    if found is not None:
        return found.host
    return next((name.lstrip(".") for name in settings.ALLOWED_HOSTS if name != "*"), "localhost")


def _ask(url: str, host: str, scheme: str) -> Reply:
    parts = urlsplit(url)
    maker = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    asked = maker(parts.netloc, timeout=SECONDS)
    headers = {"Host": host}
    if parts.scheme != "https":  # past the proxy, in its words
        headers |= {"X-Forwarded-Proto": scheme, "X-Forwarded-For": "127.0.0.1"}
    try:
        asked.request("GET", PAGE, headers=headers)
        reply = asked.getresponse()
        reply.read()
        return Reply(
            reply.status,
            reply.headers.get("Location", ""),
            reply.headers.get("Strict-Transport-Security", ""),
            reply.headers.get_all("Set-Cookie") or [],
        )
    finally:
        asked.close()


def _attributes(cookie: str) -> list[str]:
    return [part.strip().lower() for part in cookie.split(";")[1:]]
