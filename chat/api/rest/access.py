"""Who asks, and what their token allows. The token was checked before Django got the request (`chat.api.door`)."""

from __future__ import annotations

import uuid
from typing import Any, Final, cast

from django.conf import settings
from django.http import HttpRequest
from ninja.security import HttpBearer

from accounts.auth.api_tokens import TokenAccess
from accounts.lib import rate_limit
from accounts.models import TokenScope
from chat.api.door import ACCESS, check_scope
from chat.realtime.rate_limits import rate_limited

SAFE: Final = frozenset({"GET", "HEAD"})


class Token(HttpBearer):
    """The token's scope is checked (None: any token will do). A request that changes something counts under a rate of
    the user, as it does when the page makes it. Raises `ApiError` and `RateLimited`.
    """

    def __init__(self, scope: TokenScope | None, rate: str = "RATE_HTTP_COMMANDS") -> None:
        super().__init__()
        self.scope = scope
        self._rate = rate

    def authenticate(self, request: HttpRequest, token: str) -> TokenAccess | None:
        found: tuple[TokenAccess, str] | None = getattr(request, "scope", {}).get(ACCESS)
        if found is None:
            return None
        access = found[0]
        if self.scope is not None:
            check_scope(access, self.scope)
        if request.method not in SAFE and self._rate:
            kind = "http" if self._rate == "RATE_HTTP_COMMANDS" else self._rate.lower()
            named = (f"{kind}:{access.user_id.hex}", str(getattr(settings, self._rate)))
            if wait := rate_limit.try_acquire(rate_limit.required_limits(named)):
                raise rate_limited(wait)
        return access


READS: Final = Token(TokenScope.READ)
WRITES: Final = Token(TokenScope.SOCKET)
SENDS: Final = Token(TokenScope.SOCKET, rate="")  # messages have limits of their own
UPLOADS: Final = Token(TokenScope.SOCKET, rate="RATE_UPLOADS")
USAGE: Final = Token(TokenScope.USAGE)


def access_of(request: HttpRequest) -> TokenAccess:
    return cast("Any", request).auth  # type: ignore[no-any-return]  # what `Token` returned


def user_id_of(request: HttpRequest) -> uuid.UUID:
    return access_of(request).user_id


def network_of(request: HttpRequest) -> str:
    found: tuple[TokenAccess, str] = cast("Any", request).scope[ACCESS]
    return found[1]
