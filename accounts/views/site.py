"""The site's logo, and the terms that everybody accepts."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from accounts import audit
from accounts.auth.requests import AuthenticatedRequest
from accounts.auth.terms import accept_terms, must_accept
from accounts.models import SiteSettings
from accounts.site import logo_hash, site


@require_safe
def show_logo(request: HttpRequest, name: str) -> HttpResponse:
    """The logo, whose hash is its address, so that browsers may keep it for ever."""
    row = SiteSettings.objects.filter(pk=1).values_list("logo", "logo_type").first()
    if row is None or not row[0] or logo_hash(bytes(row[0])) != name:
        raise Http404
    headers = {
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Cache-Control": "public, max-age=31536000, immutable",
    }
    return HttpResponse(bytes(row[0]), content_type=row[1], headers=headers)


@require_safe
@never_cache
def show_terms(request: HttpRequest) -> HttpResponse:
    """The terms, for everybody: whoever signs up reads them before."""
    if not site().terms:
        raise Http404
    row = SiteSettings.objects.get(pk=1)
    return render(request, "account/terms.html", {"terms": row.terms, "version": row.terms_version})


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@login_required
def ask_terms(request: AuthenticatedRequest) -> HttpResponse:
    """Asks for the terms of the version in force; POST `version` accepts them and leads on to `next`."""
    following = request.POST.get("next") or request.GET.get("next") or ""
    if not url_has_allowed_host_and_scheme(following, {request.get_host()}, require_https=request.is_secure()):
        following = "/"
    if not must_accept(request):
        return HttpResponseRedirect(following)  # `redirect` would take it for the name of a page
    version = site().terms
    if request.method == "POST" and request.POST.get("version") == str(version):
        with transaction.atomic():
            audit.record_event(request, "accept_terms", request.user, details=f"version {version}")
            accept_terms(request, request.user, version)
        return HttpResponseRedirect(following)
    row = SiteSettings.objects.get(pk=1)
    context = {"terms": row.terms, "version": row.terms_version, "next": following, "asks": True}
    return render(request, "account/terms.html", context)
