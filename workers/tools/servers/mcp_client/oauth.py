"""Logging in to an MCP server (OAuth 2.1), step by step, since a person's browser is in between.

Discovery (RFC 9728, RFC 8414, OpenID Connect), registration (RFC 7591), PKCE (RFC 7636), the resource parameter
(RFC 8707), the issuer of the response (RFC 9207) and revocation (RFC 7009). The package's own flow keeps a request
open while the person logs in; here are its parts.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import httpx2
from mcp.client.auth import utils
from mcp.client.auth.exceptions import OAuthFlowError
from mcp.client.auth.oauth2 import OAuthContext, PKCEParameters, check_registration_usable
from mcp.shared.auth import (
    OAuthClientInformationFull,
    OAuthClientMetadata,
    OAuthMetadata,
    OAuthToken,
    ProtectedResourceMetadata,
)
from mcp_types import LATEST_PROTOCOL_VERSION
from pydantic import AnyUrl, ValidationError

from chat.jobs.tool_servers import NOT_LOGGED_IN
from workers.tools.base import ToolError
from workers.tools.decoding import decode_text
from workers.tools.servers.http import guarded_client, is_private_host
from workers.tools.servers.listing import shorten
from workers.tools.servers.mcp_client import log_in_failures as failures
from workers.tools.servers.stored import StoredServer

STEP_SECONDS: Final = 8.0  # for one request
GRANTS: Final = ("authorization_code", "refresh_token")
FORM: Final = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}


class LogInRefusedError(ToolError):
    """The authorization server does not accept the grant: the person has to log in again."""


@dataclass(frozen=True, slots=True)
class LogIn:
    """A log-in that has begun. `pending`, `client` and `discovered` are stored until the person comes back."""

    url: str
    pending: Mapping[str, Any] = field(repr=False)
    client: Mapping[str, Any] = field(repr=False)
    discovered: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Tokens:
    """`expires_in` in seconds; None: unknown."""

    stored: Mapping[str, Any] = field(repr=False)
    expires_in: int | None
    scopes: str


async def begin(
    server: StoredServer, state: str, callback: str, *, client: Mapping[str, Any], client_id: str, secret: str,
    scopes: str,
) -> LogIn:  # fmt: skip
    """Where a person logs in. `client` is how we are registered already, `client_id` and `secret` what staff entered.

    Raises `ToolError`.
    """
    try:
        async with await _client(server) as http:
            challenge = await _probe(http, server)
            resource, issuer = await _find_resource(http, server, challenge)
            metadata = await _find_metadata(http, server, issuer)
            named = utils.extract_scope_from_www_auth(challenge)
            wanted = scopes or utils.get_client_metadata_scopes(named, resource, metadata, list(GRANTS))
            asked = OAuthClientMetadata(
                redirect_uris=[AnyUrl(callback)], client_name="Antiphon", scope=wanted, application_type="web",
                token_endpoint_auth_method="none",  # noqa: S106 -- no password
                grant_types=list(GRANTS),
            )  # fmt: skip
            registered = await _register(http, server, metadata, asked, client, client_id, secret)
    except (httpx2.HTTPError, OSError) as error:
        failure = ToolError(failures.UNREACHABLE, {"server": server.title}, detail=f"{type(error).__name__} {error}")
    except (OAuthFlowError, ValidationError, ValueError) as error:
        failure = ToolError(failures.UNUSABLE, {"server": server.title, "said": shorten(str(error), 200)})
    else:
        pkce = PKCEParameters.generate()
        context = _context(server, asked, resource, metadata, registered)
        query = {
            "response_type": "code", "client_id": registered.client_id, "redirect_uri": callback, "state": state,
            "code_challenge": pkce.code_challenge, "code_challenge_method": "S256",
            "resource": context.get_resource_url(),
        }  # fmt: skip
        if wanted:
            query["scope"] = wanted
            if "offline_access" in wanted.split():
                query["prompt"] = "consent"
        address = str(metadata.authorization_endpoint)
        _check_secure(server, address)
        joined = f"{address}{'&' if urlsplit(address).query else '?'}{urlencode(query)}"
        pending = {"verifier": pkce.code_verifier, "callback": callback, "scopes": wanted or ""}
        return LogIn(
            joined, pending, registered.model_dump(mode="json", exclude_none=True),
            {
                "metadata": metadata.model_dump(mode="json", exclude_none=True),
                "resource": context.get_resource_url(),
            },
        )  # fmt: skip
    raise failure


async def finish(
    server: StoredServer, code: str, issuer: str | None, *, pending: Mapping[str, Any], client: Mapping[str, Any],
    discovered: Mapping[str, Any],
) -> Tokens:  # fmt: skip
    """The tokens for a code. Raises `ToolError`."""
    metadata = OAuthMetadata.model_validate(discovered["metadata"])
    try:
        utils.validate_authorization_response_iss(issuer, metadata)
    except OAuthFlowError:
        raise ToolError(failures.OTHER_SERVER, {"server": server.title}) from None
    data = {
        "grant_type": "authorization_code", "code": code, "redirect_uri": pending["callback"],
        "code_verifier": pending["verifier"],
    }  # fmt: skip
    return await _ask_for_tokens(server, data, client, discovered, {"scope": pending.get("scopes", "")})


async def refresh(
    server: StoredServer, tokens: Mapping[str, Any], *, client: Mapping[str, Any], discovered: Mapping[str, Any],
    seconds: float = STEP_SECONDS,
) -> Tokens:  # fmt: skip
    """New tokens, waited for so many seconds. Raises `LogInRefusedError` where the person has to log in again, else
    `ToolError`.
    """
    data = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    return await _ask_for_tokens(server, data, client, discovered, tokens, seconds)


async def revoke(
    server: StoredServer, tokens: Mapping[str, Any], *, client: Mapping[str, Any], discovered: Mapping[str, Any]
) -> bool:
    """Revokes the refresh token, or else the access token. Whether the server said that it did. Raises nothing."""
    endpoint = discovered.get("metadata", {}).get("revocation_endpoint")
    if not endpoint:
        return False
    token, hint = tokens.get("refresh_token"), "refresh_token"
    if not token:
        token, hint = tokens.get("access_token", ""), "access_token"
    try:
        data, headers = _authenticated(server, {"token": token, "token_type_hint": hint}, client, discovered)
        async with await _client(server) as http:
            response = await http.post(endpoint, data=data, headers=headers)
            if response.status_code == 400 and "client_secret" not in data:
                # Servers built on the `mcp` package want the field of clients that have no secret, too.
                response = await http.post(endpoint, data={**data, "client_secret": ""}, headers=headers)
    except (httpx2.HTTPError, OSError, OAuthFlowError, ValidationError):
        return False
    return response.status_code == 200


# --- steps ------------------------------------------------------------------------------------------------------------


async def _client(server: StoredServer, seconds: float = STEP_SECONDS) -> httpx2.AsyncClient:
    """What a server names may be in a private network only where the server itself is in one."""
    private = server.allow_private and await is_private_host(server.address)
    return guarded_client(allow_private=private, timeout=seconds)


async def _probe(http: httpx2.AsyncClient, server: StoredServer) -> httpx2.Response:
    """The answer to a request without a token, which says where to log in."""
    body = {
        "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": {
            "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "antiphon", "version": "1"}
        },
    }  # fmt: skip
    headers = {"Accept": "application/json, text/event-stream"}
    async with http.stream("POST", server.address, json=body, headers=headers) as response:
        return response


async def _find_resource(
    http: httpx2.AsyncClient, server: StoredServer, challenge: httpx2.Response
) -> tuple[ProtectedResourceMetadata | None, str | None]:
    """What the server says about itself, and its authorization server (RFC 9728)."""
    named = utils.extract_resource_metadata_from_www_auth(challenge) if challenge.status_code in (401, 403) else None
    for url in utils.build_protected_resource_metadata_discovery_urls(named, server.address):
        response = await http.send(utils.create_oauth_metadata_request(url))
        if found := await utils.handle_protected_resource_response(response):
            return found, str(found.authorization_servers[0])
    return None, None


async def _find_metadata(http: httpx2.AsyncClient, server: StoredServer, issuer: str | None) -> OAuthMetadata:
    """The metadata of the authorization server (RFC 8414, OpenID Connect), which must name itself as its issuer."""
    for url in utils.build_oauth_authorization_server_metadata_discovery_urls(issuer, server.address):
        response = await http.send(utils.create_oauth_metadata_request(url))
        _, found = await utils.handle_auth_metadata_response(response)
        if found is None:
            continue
        if issuer is not None and not utils.issuers_match(str(found.issuer), issuer):
            raise OAuthFlowError("its authorization server names another issuer")
        methods = found.code_challenge_methods_supported
        if methods is not None and "S256" not in methods:
            raise OAuthFlowError("its authorization server does not support PKCE with S256")
        _check_secure(server, str(found.token_endpoint))
        return found
    raise OAuthFlowError("it names no authorization server")


async def _register(
    http: httpx2.AsyncClient, server: StoredServer, metadata: OAuthMetadata, asked: OAuthClientMetadata,
    client: Mapping[str, Any], client_id: str, secret: str,
) -> OAuthClientInformationFull:  # fmt: skip
    """Who we are to the authorization server: as staff entered, as registered before, or registered now (RFC 7591)."""
    issuer = str(metadata.issuer)
    if client_id:
        method = "client_secret_basic" if secret else "none"
        if secret and "client_secret_basic" not in (metadata.token_endpoint_auth_methods_supported or [method]):
            method = "client_secret_post"
        return OAuthClientInformationFull(
            redirect_uris=asked.redirect_uris, client_id=client_id, client_secret=secret or None,
            token_endpoint_auth_method=method, issuer=issuer,
        )  # fmt: skip
    if client:
        known = OAuthClientInformationFull.model_validate(client)
        expired = known.client_secret_expires_at and known.client_secret_expires_at < time.time() + 3600
        same = known.issuer == issuer and known.redirect_uris == asked.redirect_uris
        if same and not expired:
            return known
    if metadata.registration_endpoint is None:
        raise OAuthFlowError("Antiphon is not registered there, and has to be by an administrator")
    request = utils.create_client_registration_request(metadata, asked, issuer)
    registered = await utils.handle_registration_response(await http.send(request))
    check_registration_usable(registered)
    registered.issuer = issuer
    registered.redirect_uris = asked.redirect_uris
    return registered


async def _ask_for_tokens(
    server: StoredServer, data: dict[str, str], client: Mapping[str, Any], discovered: Mapping[str, Any],
    before: Mapping[str, Any], seconds: float = STEP_SECONDS,
) -> Tokens:  # fmt: skip
    endpoint = discovered["metadata"]["token_endpoint"]
    title = server.title
    try:
        body, headers = _authenticated(server, {**data, "resource": discovered["resource"]}, client, discovered)
        async with await _client(server, seconds) as http:
            response = await http.post(endpoint, data=body, headers=headers)
        if response.status_code == 429 or response.status_code >= 500:
            raise ToolError(failures.OUT_OF_ORDER, {"server": title, "status": response.status_code})
        if response.status_code not in (200, 201):
            detail = shorten(decode_text(response.content, response.charset_encoding or ""), 200)
            raise LogInRefusedError(NOT_LOGGED_IN, {"server": title}, detail=detail)
        token = OAuthToken.model_validate_json(response.content)
    except (httpx2.HTTPError, OSError) as error:
        raise ToolError(failures.UNREACHABLE, {"server": title}, detail=type(error).__name__) from None
    except (ValidationError, OAuthFlowError):
        raise ToolError(failures.UNREADABLE, {"server": title}) from None
    scopes = token.scope if token.scope is not None else str(before.get("scope", ""))
    stored = {
        "access_token": token.access_token, "refresh_token": token.refresh_token or before.get("refresh_token", ""),
        "scope": scopes,
    }  # fmt: skip
    return Tokens(stored, token.expires_in, scopes)


def _authenticated(
    server: StoredServer, data: dict[str, str], client: Mapping[str, Any], discovered: Mapping[str, Any]
) -> tuple[dict[str, str], dict[str, str]]:
    registered = OAuthClientInformationFull.model_validate(client)
    metadata = OAuthMetadata.model_validate(discovered["metadata"])
    asked = OAuthClientMetadata(redirect_uris=registered.redirect_uris)
    context = _context(server, asked, None, metadata, registered)
    return context.prepare_token_auth({**data, "client_id": registered.client_id}, dict(FORM))


def _context(
    server: StoredServer, asked: OAuthClientMetadata, resource: ProtectedResourceMetadata | None,
    metadata: OAuthMetadata, registered: OAuthClientInformationFull,
) -> OAuthContext:  # fmt: skip
    storage: Any = None  # the flow that uses it is not used here
    context = OAuthContext(server.address, asked, storage, None, None)
    context.protected_resource_metadata, context.oauth_metadata = resource, metadata
    context.client_info, context.protocol_version = registered, LATEST_PROTOCOL_VERSION
    return context


def _check_secure(server: StoredServer, url: str) -> None:
    """A log-in is encrypted, or at least no less than the server itself, which staff chose."""
    if urlsplit(url).scheme != "https" and (server.owner_id is not None or urlsplit(server.address).scheme == "https"):
        raise OAuthFlowError("its authorization server has no https address")
