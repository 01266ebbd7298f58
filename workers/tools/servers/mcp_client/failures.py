"""What went wrong between us and an MCP server, as a `ToolError`: a sentence that the model and the person read."""

from __future__ import annotations

import httpx2
from mcp.shared.exceptions import MCPError
from mcp_types import CONNECTION_CLOSED, METHOD_NOT_FOUND, PARSE_ERROR, REQUEST_TIMEOUT
from pydantic import ValidationError

from accounts.lib.texts import gettext_noop
from workers.tools.base import ToolError
from workers.tools.servers.credentials import LastRefusal
from workers.tools.servers.http import RefusedAddressError, TooLargeError
from workers.tools.servers.listing import shorten

SAID_CHARS = 500


class NotLoggedInError(ToolError):
    """The server does not accept who we are. Nothing was done. `forbidden`: it refuses only this (HTTP 403)."""

    forbidden = False


class SessionGoneError(ToolError):
    """The server has forgotten the session. Nothing was done: another session may make the call."""


def explain(error: BaseException, title: str, refusal: LastRefusal, *, sent: bool) -> ToolError:
    """`sent`: the call may have reached the server."""
    found = [*_leaves(error)]
    detail = "; ".join(f"{type(one).__name__}: {one}"[:200] for one in found)[:600]
    if refusal.status in (401, 403):
        refused = NotLoggedInError(
            gettext_noop("%(server)s did not accept the log-in."), {"server": title}, detail=detail
        )
        refused.forbidden = refusal.status == 403
        return refused
    if refusal.forgotten and sent:
        return SessionGoneError(gettext_noop("%(server)s has ended the session."), {"server": title}, detail=detail)
    if any(isinstance(one, RefusedAddressError) for one in found):
        return ToolError(
            gettext_noop("%(server)s is at an address that may not be used."), {"server": title}, detail=detail
        )
    if any(isinstance(one, httpx2.ConnectError | httpx2.ConnectTimeout | ConnectionRefusedError) for one in found):
        return ToolError(gettext_noop("%(server)s cannot be reached."), {"server": title}, detail=detail)
    if any(isinstance(one, FileNotFoundError | PermissionError) for one in found):
        return ToolError(gettext_noop("%(server)s could not be started."), {"server": title}, detail=detail)
    if any(isinstance(one, TooLargeError) for one in found):
        return ToolError(
            gettext_noop("%(server)s sent more than is read."), {"server": title}, uncertain=sent, detail=detail
        )
    for one in found:
        if isinstance(one, MCPError):
            return _explain_refusal(one, title, refusal, sent, detail)
    if any(isinstance(one, TimeoutError | httpx2.TimeoutException) for one in found):
        return ToolError(
            gettext_noop("%(server)s did not answer in time."), {"server": title}, uncertain=sent, detail=detail
        )
    if any(isinstance(one, ValidationError) for one in found):
        return ToolError(
            gettext_noop("%(server)s sent an answer that cannot be read."),
            {"server": title},
            uncertain=sent,
            detail=detail,
        )
    return ToolError(
        gettext_noop("The connection to %(server)s was lost."), {"server": title}, uncertain=sent, detail=detail
    )


def _explain_refusal(error: MCPError, title: str, refusal: LastRefusal, sent: bool, detail: str) -> ToolError:
    if error.code == REQUEST_TIMEOUT:
        return ToolError(
            gettext_noop("%(server)s did not answer in time."), {"server": title}, uncertain=sent, detail=detail
        )
    if refusal.status >= 400:  # servers use the code of a closed connection for errors of their own, too
        return ToolError(
            gettext_noop("%(server)s answered with an error (HTTP %(status)s)."),
            {"server": title, "status": refusal.status},
            uncertain=sent,
            detail=detail,
        )
    if error.code == CONNECTION_CLOSED:
        return ToolError(
            gettext_noop("The connection to %(server)s was lost."), {"server": title}, uncertain=sent, detail=detail
        )
    if error.code == PARSE_ERROR:  # ours, not the server's: it has answered, nobody knows what
        return ToolError(
            gettext_noop("%(server)s sent an answer that cannot be read."),
            {"server": title},
            uncertain=sent,
            detail=detail,
        )
    if error.code == METHOD_NOT_FOUND and not sent:
        return ToolError(gettext_noop("%(server)s does not answer as an MCP server."), {"server": title}, detail=detail)
    return ToolError(
        gettext_noop("%(server)s refused the call: %(said)s"),
        {"server": title, "said": shorten(error.message, SAID_CHARS)},
        detail=detail,
    )


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for one in error.exceptions for leaf in _leaves(one)]
    return [error, *([error.__cause__] if error.__cause__ is not None else [])]
