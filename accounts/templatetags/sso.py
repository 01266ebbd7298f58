"""Template tags: the providers of single sign-on."""

from __future__ import annotations

from django import template
from django.conf import settings

from accounts.auth.sso_settings import SsoProvider

register = template.Library()


@register.simple_tag
def sso_providers() -> list[SsoProvider]:
    """Those of the setting SSO_PROVIDERS, in its order."""
    return list(settings.SSO_PROVIDERS.values())


@register.simple_tag
def sso_is_the_only_way() -> bool:
    """Whether passwords are for the emergency administrator alone (the setting SSO_ONLY)."""
    return bool(settings.SSO_ONLY)
