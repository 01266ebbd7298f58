"""Which session of ours belongs to which user and session of a provider, so that its log-out finds it."""

from __future__ import annotations

import hashlib
from typing import Any, Final

from django.http import HttpRequest

from accounts.auth.revocation import end_session
from accounts.auth.second_factor.policy import FROM_PROVIDER
from accounts.auth.sso_settings import SsoProvider
from accounts.models import Session

KEY: Final = "sso"  # in the session: provider, sub, sid, id_token; of SAML, the NameID and its session


def name_of(provider: str, kind: str, value: str) -> str:
    """What the session's row has in place of a provider's `sub` or `sid`."""
    return hashlib.sha256(f"{provider} {kind} {value}".encode()).hexdigest()[:32]


def remember_log_in(request: HttpRequest, provider: SsoProvider, facts: dict[str, Any]) -> None:
    """Marks the session of the request, which has just been logged in, as one of the provider's."""
    request.session[KEY] = facts
    if provider.has_second_factor:
        request.session[FROM_PROVIDER] = True
    sid = facts.get("sid") or ""
    Session.objects.filter(pk=request.session.session_key).update(
        sso_subject=name_of(provider.id, "sub", facts["sub"]),
        sso_session=name_of(provider.id, "sid", sid) if sid else "",
    )


def end_sessions_of(provider: SsoProvider, *, sub: str = "", sid: str = "") -> list[Session]:
    """Ends the sessions of a provider's session, or of its user where no session is named. Their sockets close at
    once. Returns their rows.
    """
    found = Session.objects.exclude(user=None).select_related("user")
    if sid:
        found = found.filter(sso_session=name_of(provider.id, "sid", sid))
    if sub:
        found = found.filter(sso_subject=name_of(provider.id, "sub", sub))
    if not sid and not sub:
        return []
    rows = list(found)
    for row in rows:
        end_session(row.session_key)
    return rows
