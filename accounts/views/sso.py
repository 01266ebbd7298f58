"""Log-in and log-out through a provider, and its log-outs over the back channel."""

from __future__ import annotations

import math
from typing import Any
from urllib.parse import urlencode

import requests
import structlog
from allauth.account.decorators import reauthentication_required
from allauth.account.views import LogoutView
from allauth.socialaccount.helpers import render_authentication_error
from allauth.socialaccount.internal.flows.connect import disconnect
from allauth.socialaccount.models import SocialAccount, SocialToken
from allauth.socialaccount.providers.oauth2.views import OAuth2CallbackView, OAuth2LoginView
from allauth.socialaccount.providers.openid_connect.provider import OpenIDConnectProvider
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.auth.adapter import site_url
from accounts.auth.requests import AuthenticatedRequest
from accounts.auth.sso_settings import SsoProvider
from accounts.lib import rate_limit
from accounts.security_log import report
from accounts.sso.adapter import disconnect_problem
from accounts.sso.discovery import DiscoveryError, discover
from accounts.sso.logout_tokens import LogoutTokenError, check_logout_token
from accounts.sso.sessions import KEY, end_sessions_of

logger = structlog.get_logger(__name__)


class _Client(OpenIDConnectOAuth2Adapter):  # type: ignore[misc]  # allauth ships no types
    """allauth's, which keeps the metadata, and the ID token for the log-out at the provider."""

    @property
    def openid_config(self) -> dict[str, Any]:
        return discover(settings.SSO_PROVIDERS[self.provider_id])

    def complete_login(self, request: HttpRequest, app: Any, token: SocialToken, **kwargs: Any) -> Any:
        request.sso_id_token = str(kwargs["response"].get("id_token") or "")  # type: ignore[attr-defined]  # for SsoAdapter
        return super().complete_login(request, app, token, **kwargs)


OpenIDConnectProvider.oauth2_adapter_class = _Client  # allauth makes the address of the provider's log-in with it


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def log_in(request: HttpRequest, provider_id: str) -> HttpResponseBase:
    """POST leads to the provider; GET, as from a link, asks first. Answers 404 for an unknown provider.

    The way there is a page, not a redirect: the site's policy lets its forms lead nowhere else (`form-action`).
    """
    provider = _provider(provider_id)
    if request.method != "POST":
        return render(request, "socialaccount/login.html", {"provider": provider, "next": request.GET.get("next", "")})
    client = _Client(request, provider_id)
    try:
        response: HttpResponseBase = OAuth2LoginView.adapter_view(client)(request)
    except (DiscoveryError, requests.RequestException) as error:
        return render_authentication_error(request, client.get_provider(), exception=error)  # type: ignore[no-any-return]
    if response.status_code != 302:
        return response
    return render(request, "socialaccount/leave.html", {"provider": provider, "address": response["Location"]})


@require_safe
@never_cache
def finish_log_in(request: HttpRequest, provider_id: str) -> HttpResponseBase:
    """Where the provider sends the browser back to."""
    _provider(provider_id)
    response: HttpResponseBase = OAuth2CallbackView.adapter_view(_Client(request, provider_id))(request)
    return response


class LogOut(LogoutView):  # type: ignore[misc]  # allauth ships no types
    """allauth's log-out, which also leads to the provider's where the session came from one that has it."""

    def post(self, *args: Any, **kwargs: Any) -> HttpResponse:
        facts: dict[str, Any] = (self.request.session.get(KEY) if self.request.user.is_authenticated else None) or {}
        response: HttpResponse = super().post(*args, **kwargs)
        address = _end_session_address(self.request, facts) if facts else ""
        if not address:
            return response
        provider = settings.SSO_PROVIDERS[facts["provider"]]
        context = {"provider": provider, "address": address, "is_logged_out": True}
        return render(self.request, "socialaccount/leave.html", context)


def _end_session_address(request: HttpRequest, facts: dict[str, Any]) -> str:
    """Of the provider's log-out (OpenID Connect RP-Initiated Logout 1.0); empty if it has none or does not answer."""
    provider = settings.SSO_PROVIDERS.get(facts.get("provider", ""))
    if provider is None:
        return ""
    if provider.saml is not None:
        return _single_logout_address(request, provider, facts)
    try:
        end = discover(provider).get("end_session_endpoint")
    except DiscoveryError as error:
        logger.warning("sso_log_out_failed", provider=provider.id, reason=str(error)[:200])
        return ""
    if not isinstance(end, str) or not end.startswith(("https://", "http://")):
        return ""
    back = site_url(request) + reverse("account_login")
    query = {"client_id": provider.client_id, "post_logout_redirect_uri": back}
    if facts.get("id_token"):
        query["id_token_hint"] = facts["id_token"]
    return f"{end}{'&' if '?' in end else '?'}{urlencode(query)}"


def _single_logout_address(request: HttpRequest, provider: SsoProvider, facts: dict[str, Any]) -> str:
    """Of the provider's log-out (SAML 2.0 Single Logout); empty if it has none or its metadata cannot be read."""
    from accounts.sso import saml, saml_settings  # only sites with such a provider load libxml2 and xmlsec

    try:
        return saml.logout_address(provider, site_url(request), request.path, facts)
    except saml_settings.SamlMetadataError as error:
        logger.warning("sso_log_out_failed", provider=provider.id, reason=str(error)[:200])
        return ""


@csrf_exempt
@rate_limit.own_rate
@require_POST
@never_cache
def back_channel_log_out(request: HttpRequest, provider_id: str) -> HttpResponse:
    """A provider says that a user or a session has ended there: our sessions end, their sockets close at once.

    Answers 200, 400 with a reason for a token that is refused, 429 beyond RATE_SSO_LOGOUTS, 503 while the keys of the
    provider cannot be read.
    """
    provider = _provider(provider_id)
    limits = rate_limit.required_limits((f"sso-logout:{provider.id}", settings.RATE_SSO_LOGOUTS))
    if wait := rate_limit.try_acquire(limits):
        return JsonResponse({"error": "too_many"}, status=429, headers={"Retry-After": str(math.ceil(wait))})
    try:
        logout = check_logout_token(provider, request.POST.get("logout_token", ""))
    except LogoutTokenError as error:
        logger.warning("sso_logout_refused", provider=provider.id, reason=str(error))
        return JsonResponse({"error": "invalid_request", "error_description": str(error)}, status=400)
    except (DiscoveryError, requests.RequestException) as error:
        logger.warning("sso_logout_failed", provider=provider.id, reason=type(error).__name__)
        return JsonResponse({"error": "temporarily_unavailable"}, status=503)
    for row in end_sessions_of(provider, sub=logout.sub, sid=logout.sid):
        report(request, "sso_back_channel_logout", row.user, details=provider.id)
    return HttpResponse(status=200)


@require_POST
@login_required
@reauthentication_required(app="allauth.socialaccount")  # type: ignore[untyped-decorator]  # allauth ships no types
def disconnect_provider(request: AuthenticatedRequest, pk: int) -> HttpResponse:
    """Ends the connection of the user's account with a provider. 404 for another user's."""
    account = get_object_or_404(SocialAccount, pk=pk, user=request.user)
    if problem := disconnect_problem(request.user):
        messages.error(request, problem)
    else:
        disconnect(request, account)
    return redirect("account_settings_security")


def _provider(provider_id: str) -> SsoProvider:
    provider = settings.SSO_PROVIDERS.get(provider_id)
    if provider is None or provider.saml is not None:
        raise Http404
    assert isinstance(provider, SsoProvider)
    return provider
