"""Hears of log-ins and connections through providers."""

from __future__ import annotations

from typing import Any

from allauth.account import signals as account_signals
from allauth.socialaccount import signals
from allauth.socialaccount.models import SocialAccount, SocialLogin
from django.conf import settings
from django.dispatch import receiver
from django.http import HttpRequest

from accounts.models import User
from accounts.security_log import report
from accounts.sso.sessions import remember_log_in


@receiver(account_signals.user_logged_in)
def _logged_in(
    sender: object, request: HttpRequest, user: User, sociallogin: SocialLogin | None = None, **_: Any
) -> None:
    facts = (sociallogin.state.get("sso") if sociallogin is not None else None) or {}
    if provider := settings.SSO_PROVIDERS.get(facts.get("provider", "")):
        remember_log_in(request, provider, facts)


@receiver(signals.social_account_added)
def _connected(sender: object, request: HttpRequest, sociallogin: SocialLogin, **_: Any) -> None:
    if sociallogin.state.get("process") == "connect":
        report(request, "sso_connected", sociallogin.user, details=sociallogin.account.provider)


@receiver(signals.social_account_removed)
def _disconnected(sender: object, request: HttpRequest, socialaccount: SocialAccount, **_: Any) -> None:
    report(request, "sso_disconnected", socialaccount.user, details=socialaccount.provider)
