"""`/.well-known/security.txt` (RFC 9116): where people report a vulnerability of this site."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.auth.adapter import listed_origin

VALID_DAYS: Final = 180  # a copy of the file; RFC 9116 wants less than a year


@require_safe
@never_cache
def show_security_txt(request: HttpRequest) -> HttpResponse:
    """404 where SECURITY_CONTACT names nobody."""
    if not settings.SECURITY_CONTACT:
        raise Http404
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    lines = [f"Contact: {contact}" for contact in settings.SECURITY_CONTACT]
    lines.append(f"Expires: {(midnight + timedelta(days=VALID_DAYS)).isoformat().replace('+00:00', 'Z')}")
    if settings.SECURITY_POLICY_URL:
        lines.append(f"Policy: {settings.SECURITY_POLICY_URL}")
    if origin := listed_origin():
        lines.append(f"Canonical: {origin}/.well-known/security.txt")
    return HttpResponse("\n".join(lines) + "\n", content_type="text/plain; charset=utf-8")
