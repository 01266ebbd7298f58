"""The settings' section "Security": password, second factor, recovery codes, remembered browsers, providers."""

from __future__ import annotations

from typing import Any

from allauth.account.decorators import reauthentication_required
from allauth.mfa.adapter import get_adapter
from allauth.mfa.models import Authenticator
from allauth.mfa.webauthn.views import RemoveWebAuthnView
from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.utils.decorators import method_decorator
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.auth.requests import AuthenticatedRequest
from accounts.auth.second_factor import policy
from accounts.auth.second_factor.reset import forget_browsers
from accounts.models import User
from accounts.security_log import report


@login_required
@require_safe
@never_cache
def show_security(request: AuthenticatedRequest) -> HttpResponse:
    """What protects the account, each with the way to change it."""
    user = request.user
    found = list(Authenticator.objects.filter(user=user).order_by("pk"))
    passkeys = [one.wrap() for one in found if one.type == Authenticator.Type.WEBAUTHN]
    codes = next((one for one in found if one.type == Authenticator.Type.RECOVERY_CODES), None)
    connected = {one.provider: one for one in SocialAccount.objects.filter(user=user)}
    context = {
        "providers": [{"provider": one, "account": connected.get(one.id)} for one in settings.SSO_PROVIDERS.values()],
        "app": next((one for one in found if one.type == Authenticator.Type.TOTP), None),
        "passkeys": passkeys,
        "codes_left": len(codes.wrap().get_unused_codes()) if codes else None,
        "is_required": policy.is_required_for(user),
        "due": policy.due_date(user),
        "remember_days": settings.SECOND_FACTOR_REMEMBER_DAYS,
        "may_remove_password": user.has_usable_password() and any(one.is_passwordless for one in passkeys),
    }
    return render(request, "account/settings/security.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@login_required
def require_factor(request: AuthenticatedRequest) -> HttpResponse:
    """Where somebody lands who lacks a factor that the site demands. POST postpones it while there are days left."""
    standing = policy.standing_of(request.user)
    after = _safe_next(request)
    if standing is policy.Standing.FINE:
        return HttpResponseRedirect(after)  # `redirect` would take it for the name of a page
    if request.method == "POST" and standing is policy.Standing.GRACE:
        policy.postpone(request)
        return HttpResponseRedirect(after)
    context = {
        "is_due": standing is policy.Standing.DUE,
        "due": policy.due_date(request.user),
        "next": after,
    }
    return render(request, "account/second_factor.html", context)


def _safe_next(request: HttpRequest) -> str:
    wanted = request.POST.get("next") or request.GET.get("next") or "/"
    safe = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure())
    return wanted if safe else "/"


@require_POST
@login_required
@reauthentication_required(app="allauth.mfa")  # type: ignore[untyped-decorator]  # allauth ships no types
def forget_remembered_browsers(request: AuthenticatedRequest) -> HttpResponse:
    """Every browser has to give the second factor again at its next log-in."""
    if forget_browsers(request.user):
        report(request, "browsers_forgotten", request.user)
        messages.success(request, _("No browser is remembered any more."))
    return redirect("account_settings_security")


@require_POST
@login_required
@reauthentication_required(app="allauth.mfa")  # type: ignore[untyped-decorator]  # allauth ships no types
def remove_password(request: AuthenticatedRequest) -> HttpResponse:
    """Leaves passkeys as the only log-in; a link by mail or from staff still sets a new password."""
    user = request.user
    found = Authenticator.objects.filter(user=user, type=Authenticator.Type.WEBAUTHN)
    if not any(one.wrap().is_passwordless for one in found):
        messages.error(request, _("Add a passkey that logs you in alone first."))
    elif user.has_usable_password():
        user.set_unusable_password()
        user.save(update_fields=["password"])  # ends all sessions
        update_session_auth_hash(request, user)
        report(request, "password_removed", user)
        messages.success(request, _("Your password has been removed. From now on you log in with a passkey."))
    return redirect("account_settings_security")


@method_decorator(never_cache, name="dispatch")
class RemovePasskey(RemoveWebAuthnView):  # type: ignore[misc]  # allauth ships no types
    """allauth's page, which here keeps the last factor that the site demands, and a passkey that is the only log-in."""

    def form_valid(self, form: Any) -> HttpResponse:
        passkey = self.get_object()
        if not get_adapter().can_delete_authenticator(passkey):
            messages.error(self.request, str(get_adapter().error_messages["cannot_delete_authenticator"]))
            return redirect("account_settings_security")
        if passkey.wrap().is_passwordless and _is_only_log_in(passkey, passkey.user):
            messages.error(self.request, _("This passkey is your only log-in. Set a password or add another first."))
            return redirect("account_settings_security")
        response: HttpResponse = super().form_valid(form)
        return response


def _is_only_log_in(passkey: Authenticator, user: User) -> bool:
    if user.has_usable_password() or SocialAccount.objects.filter(user=user).exists():
        return False
    others = Authenticator.objects.filter(user=user, type=Authenticator.Type.WEBAUTHN).exclude(pk=passkey.pk)
    return not any(one.wrap().is_passwordless for one in others)


remove_passkey = RemovePasskey.as_view()
