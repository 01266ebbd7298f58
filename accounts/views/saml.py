"""Log-in and log-out through providers of SAML 2.0. python3-saml is loaded by the first request to one of these."""

from __future__ import annotations

from typing import Any, Final

import structlog
from allauth.socialaccount.adapter import get_adapter
from allauth.socialaccount.helpers import complete_social_login
from allauth.socialaccount.sessions import LoginSession
from django.conf import settings
from django.contrib.auth import logout
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.auth.adapter import site_url
from accounts.auth.sso_settings import SsoProvider
from accounts.security_log import report
from accounts.sso.sessions import end_sessions_of

PASSED_ON: Final = ("saml_acs_session", "saml-acs-session")  # allauth's names: of the attribute, and of the cookie
PASSED_ON_SECONDS: Final = 600

logger = structlog.get_logger(__name__)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def log_in(request: HttpRequest, provider_id: str) -> HttpResponseBase:
    """POST leads to the provider; GET, as from a link, asks first. Answers 404 for an unknown provider."""
    from accounts.sso import saml, saml_settings

    provider = _provider(provider_id)
    if request.method != "POST":
        return render(request, "socialaccount/login.html", {"provider": provider, "next": request.GET.get("next", "")})
    client = get_adapter().get_provider(request, provider.id)
    try:
        address, question = saml.start_log_in(provider, site_url(request), request.path)
    except saml_settings.SamlMetadataError as error:
        return _refuse(request, provider, "unavailable", str(error))
    client.stash_redirect_state(request, **client.get_redirect_from_request_kwargs(request), state_id=question)
    return render(request, "socialaccount/leave.html", {"provider": provider, "address": address})


@csrf_exempt
@require_POST
@never_cache
def receive_response(request: HttpRequest, provider_id: str) -> HttpResponseBase:
    """Where the provider's page posts its response to. Browsers send no session with it, so what was found in it goes
    on to `finish_log_in` in a session of its own: only of responses that the provider has signed.
    """
    from accounts.sso import saml, saml_settings

    provider = _provider(provider_id)
    try:
        person = saml.check_response(provider, site_url(request), request.path, request.POST.get("SAMLResponse", ""))
    except saml.SamlRefused as error:
        return _refuse(request, provider, error.why, error.details)
    except saml_settings.SamlMetadataError as error:
        return _refuse(request, provider, "unavailable", str(error))
    answer = redirect("saml_finish_acs", provider.id)
    passed_on = LoginSession(request, *PASSED_ON)
    passed_on.store.set_expiry(PASSED_ON_SECONDS)
    passed_on.store.update({"provider": provider.id, "person": person.as_json()})
    passed_on.save(answer)
    return answer


@require_safe
@never_cache
def finish_log_in(request: HttpRequest, provider_id: str) -> HttpResponseBase:
    """Logs in whom the response names, in the browser that asked for it."""
    from accounts.sso.saml import SamlPerson

    provider = _provider(provider_id)
    passed_on = LoginSession(request, *PASSED_ON)
    found = passed_on.store.get("person") if passed_on.store.get("provider") == provider.id else None
    passed_on.delete()
    if not found:
        return _refuse(request, provider, "unasked", "no response was passed on")
    person = SamlPerson(**found)
    client = get_adapter().get_provider(request, provider.id)
    try:
        state = client.unstash_redirect_state(request, person.in_response_to)
    except PermissionDenied:
        return _refuse(request, provider, "unasked", "another browser's, or too late")
    login = client.sociallogin_from_response(request, person)
    login.state = state
    request.sso_saml = person  # type: ignore[attr-defined]  # for SsoAdapter
    response: HttpResponseBase = complete_social_login(request, login)
    return response


@require_safe
@never_cache
def log_out(request: HttpRequest, provider_id: str) -> HttpResponseBase:
    """A provider's log-out, or its answer to ours. The sessions that it names end, and their sockets at once, whether
    the browser that brings it has one of them or not.
    """
    from accounts.sso import saml, saml_settings

    provider = _provider(provider_id)
    if "SAMLRequest" not in request.GET:  # the answer to ours: nothing is left to do
        return redirect("account_login")
    try:
        found = saml.check_logout_request(provider, site_url(request), request.path, request.GET.dict())
    except saml.SamlRefused as error:
        return _refuse(request, provider, error.why, error.details, is_log_out=True)
    except saml_settings.SamlMetadataError as error:
        return _refuse(request, provider, "unavailable", str(error), is_log_out=True)
    ended: list[Any] = []
    for index in found.sessions or [""]:
        ended += end_sessions_of(provider, sub=found.name_id, sid=index)
    for row in ended:
        report(request, "sso_single_logout", row.user, details=provider.id)
    if request.session.session_key in {row.session_key for row in ended}:
        logout(request)  # also the cookie goes
    return redirect(found.answer or "account_login")


@require_safe
@never_cache
def show_metadata(request: HttpRequest, provider_id: str) -> HttpResponse:
    """What the provider is to be told of this site."""
    from accounts.sso import saml_settings

    text = saml_settings.our_metadata(_provider(provider_id), site_url(request))
    return HttpResponse(text, content_type="application/samlmetadata+xml")


def _refuse(
    request: HttpRequest, provider: SsoProvider, why: str, details: str, *, is_log_out: bool = False
) -> HttpResponse:
    """A page that says why, and a line in the log. Refused signatures and the like are in the audit log, too."""
    event = "sso_log_out_failed" if is_log_out else "sso_log_in_failed"
    logger.warning(event, provider=provider.id, reason=f"{why}: {details}"[:400])
    if why not in ("unavailable", "declined"):
        report(request, "sso_refused", None, email="", details=f"{provider.id}: {why}")
    context = {"provider": provider, "why": why, "is_log_out": is_log_out}
    return render(request, "socialaccount/saml_refused.html", context, status=503 if why == "unavailable" else 403)


def _provider(provider_id: str) -> SsoProvider:
    provider = settings.SSO_PROVIDERS.get(provider_id)
    if provider is None or provider.saml is None:
        raise Http404
    assert isinstance(provider, SsoProvider)
    return provider
