"""Who asked for what: the access log, and the client's address behind proxies."""

from __future__ import annotations

from typing import Any, Final

import structlog

QUIET: Final = ("/livez", "/readyz", "/static/")  # asked all the time, of interest only when they fail

access = structlog.get_logger("access")


def forwarded_address(headers: list[tuple[bytes, bytes]], proxies: int) -> str:
    """The address that the outermost of our `proxies` saw: each adds one entry at the end of X-Forwarded-For."""
    entries = b",".join(value for name, value in headers if name == b"x-forwarded-for").decode("latin1").split(",")
    return entries[-proxies].strip() if len(entries) >= proxies else ""


def log_action(protocol: str, action: str, details: dict[str, Any]) -> None:
    """One access line per request, and per socket refused or ended. Never a query string: it may hold a secret."""
    path = details["path"].partition("?")[0]
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
