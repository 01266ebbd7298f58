"""What went wrong between us and an MCP server, as a `ToolError`: a sentence that the model and the person read."""

from __future__ import annotations

import httpx2
from mcp.shared.exceptions import MCPError
from mcp_types import CONNECTION_CLOSED, METHOD_NOT_FOUND, PARSE_ERROR, REQUEST_TIMEOUT
from pydantic import ValidationError

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
        refused = NotLoggedInError(f"{title} did not accept the log-in.", detail=detail)
        refused.forbidden = refusal.status == 403
        return refused
    if refusal.forgotten and sent:
        return SessionGoneError(f"{title} has ended the session.", detail=detail)
    if any(isinstance(one, RefusedAddressError) for one in found):
        return ToolError(f"{title} is at an address that may not be used.", detail=detail)
    if any(isinstance(one, httpx2.ConnectError | httpx2.ConnectTimeout | ConnectionRefusedError) for one in found):
        return ToolError(f"{title} cannot be reached.", detail=detail)
    if any(isinstance(one, FileNotFoundError | PermissionError) for one in found):
        return ToolError(f"{title} could not be started.", detail=detail)
    if any(isinstance(one, TooLargeError) for one in found):
        return ToolError(f"{title} sent more than is read.", uncertain=sent, detail=detail)
    for one in found:
        if isinstance(one, MCPError):
            return _explain_refusal(one, title, refusal, sent, detail)
    if any(isinstance(one, TimeoutError | httpx2.TimeoutException) for one in found):
        return ToolError(f"{title} did not answer in time.", uncertain=sent, detail=detail)
    if any(isinstance(one, ValidationError) for one in found):
        return ToolError(f"{title} sent an answer that cannot be read.", uncertain=sent, detail=detail)
    return ToolError(f"The connection to {title} was lost.", uncertain=sent, detail=detail)


def _explain_refusal(error: MCPError, title: str, refusal: LastRefusal, sent: bool, detail: str) -> ToolError:
    if error.code == REQUEST_TIMEOUT:
        return ToolError(f"{title} did not answer in time.", uncertain=sent, detail=detail)
    if refusal.status >= 400:  # servers use the code of a closed connection for errors of their own, too
        return ToolError(f"{title} answered with an error (HTTP {refusal.status}).", uncertain=sent, detail=detail)
    if error.code == CONNECTION_CLOSED:
        return ToolError(f"The connection to {title} was lost.", uncertain=sent, detail=detail)
    if error.code == PARSE_ERROR:  # ours, not the server's: it has answered, nobody knows what
        return ToolError(f"{title} sent an answer that cannot be read.", uncertain=sent, detail=detail)
    if error.code == METHOD_NOT_FOUND and not sent:
        return ToolError(f"{title} does not answer as an MCP server.", detail=detail)
    return ToolError(f"{title} refused the call: {shorten(error.message, SAID_CHARS)}", detail=detail)


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for one in error.exceptions for leaf in _leaves(one)]
    return [error, *([error.__cause__] if error.__cause__ is not None else [])]
