"""An authorization server for tests, built on the `mcp` package's own, that counts what it is asked for."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field
from typing import Any

from mcp.server.auth.provider import (
    AccessToken,
    AuthorizationCode,
    AuthorizationParams,
    RefreshToken,
    TokenError,
    construct_redirect_uri,
)
from mcp.server.auth.settings import AuthSettings, ClientRegistrationOptions, RevocationOptions
from mcp.server.mcpserver import Context, MCPServer
from mcp.shared.auth import OAuthClientInformationFull, OAuthToken
from pydantic import AnyHttpUrl
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse


@dataclass
class Authority:
    """Everybody who comes is let in at once. Refresh tokens are replaced at each use.

    `seconds`: how long an access token lasts. `broken`: the token endpoint answers 503. `slow`: seconds until it looks
    at a request, `slow_after`: from then to the answer. `asked`: how many requests it got.
    """

    seconds: int = 3600
    broken: bool = False
    slow: float = 0.0
    slow_after: float = 0.0
    asked: int = 0
    clients: dict[str, OAuthClientInformationFull] = field(default_factory=dict)
    codes: dict[str, AuthorizationCode] = field(default_factory=dict)
    access: dict[str, AccessToken] = field(default_factory=dict)
    refreshing: dict[str, RefreshToken] = field(default_factory=dict)
    refreshes: int = 0
    resources: list[str | None] = field(default_factory=list)
    revoked: list[str] = field(default_factory=list)

    async def get_client(self, client_id: str) -> OAuthClientInformationFull | None:
        return self.clients.get(client_id)

    async def register_client(self, client_info: OAuthClientInformationFull) -> None:
        self.clients[client_info.client_id] = client_info

    async def authorize(self, client: OAuthClientInformationFull, params: AuthorizationParams) -> str:
        self.resources.append(params.resource)
        code = secrets.token_hex(20)
        self.codes[code] = AuthorizationCode(
            code=code, scopes=params.scopes or ["use"], expires_at=time.time() + 60, client_id=client.client_id,
            code_challenge=params.code_challenge, redirect_uri=params.redirect_uri,
            redirect_uri_provided_explicitly=params.redirect_uri_provided_explicitly, resource=params.resource,
        )  # fmt: skip
        return construct_redirect_uri(str(params.redirect_uri), code=code, state=params.state)

    async def load_authorization_code(self, client: Any, authorization_code: str) -> AuthorizationCode | None:
        return self.codes.get(authorization_code)

    async def exchange_authorization_code(self, client: Any, authorization_code: AuthorizationCode) -> OAuthToken:
        del self.codes[authorization_code.code]
        return self._issue(client, authorization_code.scopes)

    async def load_refresh_token(self, client: Any, refresh_token: str) -> RefreshToken | None:
        return self.refreshing.get(refresh_token)

    async def exchange_refresh_token(self, client: Any, refresh_token: RefreshToken, scopes: list[str]) -> OAuthToken:
        self.refreshes += 1
        if self.refreshing.pop(refresh_token.token, None) is None:
            raise TokenError("invalid_grant")
        return self._issue(client, scopes)

    async def load_access_token(self, token: str) -> AccessToken | None:
        return self.access.get(token)

    async def exchange_identity_assertion(self, client: Any, params: Any) -> OAuthToken:
        raise TokenError("unsupported_grant_type")

    async def revoke_token(self, token: AccessToken | RefreshToken) -> None:
        self.revoked.append(token.token)

    def forget(self) -> None:
        """Revokes all that was given out."""
        self.access.clear()
        self.refreshing.clear()

    def _issue(self, client: OAuthClientInformationFull, scopes: list[str]) -> OAuthToken:
        access, refresh = f"access-{secrets.token_hex(12)}", f"refresh-{secrets.token_hex(12)}"
        expires = int(time.time()) + self.seconds
        self.access[access] = AccessToken(token=access, client_id=client.client_id, scopes=scopes, expires_at=expires)
        self.refreshing[refresh] = RefreshToken(token=refresh, client_id=client.client_id, scopes=scopes)
        return OAuthToken(access_token=access, refresh_token=refresh, expires_in=self.seconds, scope=" ".join(scopes))


def make_protected(authority: Authority, origin: str) -> Any:
    """A server whose tools need a log-in, which is its own authorization server."""
    auth = AuthSettings(
        issuer_url=AnyHttpUrl(origin), resource_server_url=AnyHttpUrl(f"{origin}/mcp"), required_scopes=["use"],
        client_registration_options=ClientRegistrationOptions(
            enabled=True, valid_scopes=["use"], default_scopes=["use"]
        ),
        revocation_options=RevocationOptions(enabled=True), validate_token_resource=False,
    )  # fmt: skip
    server = MCPServer("Protected", auth_server_provider=authority, auth=auth)

    @server.tool()
    async def whoami(ctx: Context) -> str:
        """The token, as hexadecimal digits: as it is it would be masked."""
        return (ctx.headers or {}).get("authorization", "").encode().hex()

    @server.tool()
    async def repeat(ctx: Context) -> str:
        """The token as it is."""
        return f"You sent {(ctx.headers or {}).get('authorization', '')}."

    app = server.streamable_http_app()
    app.user_middleware.insert(0, Middleware(_Breaks, authority=authority))
    return app


class _Breaks:
    """Breaks the token endpoint, or makes it slow, as the test says."""

    def __init__(self, app: Any, authority: Authority) -> None:
        self.app, self.authority = app, authority

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and Request(scope).url.path == "/token":
            import asyncio

            self.authority.asked += 1
            await asyncio.sleep(self.authority.slow)
            if self.authority.broken:
                await JSONResponse({"error": "server_error"}, 503)(scope, receive, send)
                return
            answered = send

            async def send(message: Any) -> None:
                await asyncio.sleep(self.authority.slow_after)
                await answered(message)

        await self.app(scope, receive, send)
