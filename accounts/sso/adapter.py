"""What allauth is told about log-ins through a provider: whom they are, and whether they may have an account."""

from __future__ import annotations

from typing import Any

import structlog
from allauth.account.models import EmailAddress
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialAccount, SocialLogin
from django.conf import settings
from django.db import transaction
from django.http import HttpRequest
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _

from accounts import invitations
from accounts.auth.sso_settings import SsoProvider
from accounts.features import sign_up_rule
from accounts.models import Invitation, User
from accounts.security_log import report
from accounts.sso.claims import apply_claims

logger = structlog.get_logger(__name__)


class SsoAdapter(DefaultSocialAccountAdapter):  # type: ignore[misc]  # allauth ships no types
    """Connects an account by an address that both sides have verified, and applies claims at each log-in."""

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        provider: SsoProvider = settings.SSO_PROVIDERS[sociallogin.account.provider]
        claims = claims_of(sociallogin)
        sociallogin.state["sso"] = _facts(request, sociallogin, provider, claims)
        sociallogin.state["claims"] = claims
        if sociallogin.state.get("process") == "connect":
            return
        if not sociallogin.is_existing:
            self._connect_known(request, sociallogin, provider)
        if sociallogin.is_existing and sociallogin.user.is_active:
            report_claims(request, sociallogin.user, provider, claims)

    def _connect_known(self, request: HttpRequest, sociallogin: SocialLogin, provider: SsoProvider) -> None:
        """Connects the account with the provider's verified address, if there is one and it is verified here too."""
        verified = [one.email for one in sociallogin.email_addresses if one.verified]
        if not verified:
            self._refuse(request, provider, "unverified", "")
        user = User.objects.filter(email__iexact=verified[0]).first()
        if user is None:
            if EmailAddress.objects.filter(email__iexact=verified[0]).exists():  # somebody is changing to it
                self._refuse(request, provider, "unconnected", verified[0])
            return
        if not EmailAddress.objects.filter(user=user, email__iexact=user.email, verified=True).exists():
            # Somebody else may have signed up with the address, and would know the account's password.
            self._refuse(request, provider, "unconnected", verified[0])
        sociallogin.connect(request, user)
        report(request, "sso_connected", user, details=provider.id)

    def _refuse(self, request: HttpRequest, provider: SsoProvider, why: str, email: str) -> None:
        report(request, "sso_refused", None, email=email, details=f"{provider.id}: {why}")
        context = {"why": why, "provider": provider, "email": email}
        raise ImmediateHttpResponse(render(request, "socialaccount/refused.html", context, status=403))

    def is_open_for_signup(self, request: HttpRequest, sociallogin: SocialLogin) -> bool:
        """SIGN_UP decides, and an invitation of the verified address; the provider's setting may open it."""
        provider: SsoProvider = settings.SSO_PROVIDERS[sociallogin.account.provider]
        if provider.signs_up or sign_up_rule() != "invitation":
            return True
        return _invitation_of(sociallogin) is not None

    def new_user(self, request: HttpRequest, sociallogin: SocialLogin) -> User:
        return User(was_active=True)  # its default is the database's, which a session cannot keep

    def populate_user(self, request: HttpRequest, sociallogin: SocialLogin, data: dict[str, Any]) -> User:
        user: User = super().populate_user(request, sociallogin, data)
        user.email = user.email.lower()
        user.name = str(data.get("name") or "")[:120]
        return user

    def save_user(self, request: HttpRequest, sociallogin: SocialLogin, form: Any = None) -> User:
        """A new account, in one transaction with its invitation. With SIGN_UP=approval it waits unless invited."""
        provider: SsoProvider = settings.SSO_PROVIDERS[sociallogin.account.provider]
        with transaction.atomic():
            found = _invitation_of(sociallogin)
            invitation = invitations.lock(found.token_hash) if found is not None else None
            if sign_up_rule() == "approval" and invitation is None and not provider.signs_up:
                sociallogin.user.is_active, sociallogin.user.awaits_approval = False, True
            user: User = super().save_user(request, sociallogin, form)
            if invitation is not None:
                invitations.accept(invitation, user)
        report_claims(request, user, provider, sociallogin.state.get("claims") or {})
        return user

    def get_connect_redirect_url(self, request: HttpRequest, socialaccount: SocialAccount) -> str:
        return reverse("account_settings_security")

    def on_authentication_error(
        self, request: HttpRequest, provider: Any, error: Any = None, exception: Any = None, **_kwargs: Any
    ) -> None:
        reason = type(exception).__name__ if exception else str(error)
        logger.warning("sso_log_in_failed", provider=getattr(provider.app, "provider_id", ""), reason=reason[:200])


def claims_of(sociallogin: SocialLogin) -> dict[str, Any]:
    """The claims of the ID token, and of the userinfo endpoint over them; of SAML, the attributes."""
    data = sociallogin.account.extra_data or {}
    if settings.SSO_PROVIDERS[sociallogin.account.provider].saml is not None:
        return dict(data)
    return {**(data.get("id_token") or {}), **(data.get("userinfo") or {})}


def _facts(
    request: HttpRequest, sociallogin: SocialLogin, provider: SsoProvider, claims: dict[str, Any]
) -> dict[str, Any]:
    """What a session remembers of its log-in, so that log-outs at either end find the other."""
    if provider.saml is None:
        token = getattr(request, "sso_id_token", "")
        sub, sid = sociallogin.account.uid, str(claims.get("sid") or "")
        return {"provider": provider.id, "sub": sub, "sid": sid, "id_token": token}
    person = request.sso_saml  # type: ignore[attr-defined]  # accounts.views.saml sets it
    return {
        "provider": provider.id,
        "sub": person.name_id,
        "sid": person.session_index,
        "name_id": person.name_id,
        "name_id_format": person.name_id_format,
        "session_index": person.session_index,
    }


def report_claims(request: HttpRequest, user: User, provider: SsoProvider, claims: dict[str, Any]) -> None:
    """Applies the claims; what changes is in the audit log."""
    if changed := apply_claims(user, provider, claims):
        report(request, "sso_claims_applied", user, details=f"{provider.id}: {changed}")


def disconnect_problem(user: User) -> str:
    """Why the user must not disconnect a provider: it is their only log-in. Empty if they may."""
    if settings.SSO_ONLY:
        return str(_("This site lets you log in through a provider only."))
    if user.has_usable_password() or SocialAccount.objects.filter(user=user).count() > 1:
        return ""
    return str(_("This is your only log-in. Set a password first."))


def _invitation_of(sociallogin: SocialLogin) -> Invitation | None:
    """The open invitation of the address that the provider has verified."""
    emails = [one.email for one in sociallogin.email_addresses if one.verified]
    return invitations.open_invitations().filter(email__iexact=emails[0]).first() if emails else None
