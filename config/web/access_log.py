"""The access log, and the client's address and scheme behind proxies."""

from __future__ import annotations

import re
from typing import Any, Final

import structlog

from accounts.auth.origins import plain_scheme

# Keys that allauth puts into paths: of a confirmation of an address, and of links to a new password made before 0.2.
# And the secrets of share links.
SECRETS: Final = re.compile(
    r"^(/accounts/(?:confirm-email|password/reset/key)/(?!done/|[0-9A-Za-z]+-set-password/)|/s/).+?(?=/events$|$)"
)
QUIET: Final = ("/livez", "/readyz", "/static/")  # frequent; logged at level debug unless they fail

access = structlog.get_logger("access")


def forwarded_address(headers: list[tuple[bytes, bytes]], proxies: int) -> str:
    """The client's address as the outermost of `proxies` trusted proxies reported it; empty if it is missing.

    Each proxy appends one entry to X-Forwarded-For.
    """
    entries = b",".join(value for name, value in headers if name == b"x-forwarded-for").decode("latin1").split(",")
    return entries[-proxies].strip() if len(entries) >= proxies else ""


def with_plain_scheme(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers, with the values of X-Forwarded-Proto written as Django compares them."""
    name = b"x-forwarded-proto"
    return [
        (header, plain_scheme(value.decode("latin1")).encode("latin1") if header == name else value)
        for header, value in headers
    ]


def without_secrets(path: str) -> str:
    """A path as it may be logged."""
    return SECRETS.sub(r"\1…", path)


def log_action(protocol: str, action: str, details: dict[str, Any]) -> None:
    """Logs a request, or a socket that was opened, refused or closed; without query strings, which may hold secrets."""
    path = without_secrets(details["path"].partition("?")[0])
    if protocol == "http":
        quiet = path.startswith(QUIET) and details["status"] < 400
        write = access.debug if quiet else access.info
        write(
            f"{details['method']} {path}",
            status=details["status"],
            ms=round(details["time_taken"] * 1000),
            bytes=details["size"],
            client=details["client"],
        )
    elif action in ("connected", "rejected", "disconnected"):
        access.info(f"socket {action}", path=path, client=details["client"])
