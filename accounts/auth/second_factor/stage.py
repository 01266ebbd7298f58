"""The step of a log-in that asks for the second factor."""

from __future__ import annotations

from allauth.mfa.stages import AuthenticateStage
from django.conf import settings
from django.http import HttpRequest


class SecondFactorStage(AuthenticateStage):  # type: ignore[misc]  # allauth ships no types
    """allauth's, which is left out where the log-in came from a provider that asks for a second factor itself."""

    def _should_handle(self, request: HttpRequest) -> bool:
        sociallogin = (self.login.signal_kwargs or {}).get("sociallogin")
        provider = settings.SSO_PROVIDERS.get(sociallogin.account.provider) if sociallogin is not None else None
        if provider is not None and provider.has_second_factor:
            return False
        return bool(super()._should_handle(request))
