"""Whether the providers of single sign-on can be asked, and whether somebody could log in without them."""

from __future__ import annotations

import base64
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from django.conf import settings
from django.utils import timezone

from accounts.auth.sso_settings import SsoProvider
from accounts.models import User
from accounts.sso.discovery import DiscoveryError, discover
from config.ops.findings import FAIL, OK, WARN, Found

SOON: Final = timedelta(days=30)
ADVICE: Final = "Check the address in .env from a web process's machine (docs/operations.md#single-sign-on)."


def check_sign_on(_url: str) -> Found:
    """Reads each provider's metadata anew. A certificate that ends soon is a warning: answers are refused after it is
    replaced there, until the metadata is read again.
    """
    providers: list[SsoProvider] = list(settings.SSO_PROVIDERS.values())
    if not providers:
        return OK, "No provider of single sign-on is set (SSO_PROVIDERS).", ""
    soon = ""
    for provider in providers:
        try:
            ends = _saml_end(provider) if provider.saml is not None else None
            if provider.saml is None:
                discover(provider, fresh=True)
        except (DiscoveryError, _Unusable) as error:
            return FAIL, f"Nobody can log in through {provider.name}: {error}.", ADVICE
        if ends is not None and ends < timezone.now() + SOON:
            soon = f"The certificate of {provider.name} ends on {ends:%Y-%m-%d}."
    if settings.SSO_ONLY and not _has_emergency_admin():
        return (
            WARN,
            "SSO_ONLY is on, and nobody could log in while the providers are away.",
            "Set SSO_EMERGENCY_ADMIN to the address of an administrator with a password.",
        )
    if soon:
        return WARN, soon, "Ask its administrator for the next one; a file with metadata has to be replaced by hand."
    return OK, f"The metadata of {', '.join(one.name for one in providers)} can be read.", ""


class _Unusable(Exception):
    """What is wrong with a SAML provider's metadata."""


def _saml_end(provider: SsoProvider) -> datetime | None:
    """When the last of the provider's certificates ends; None if that cannot be read."""
    from accounts.sso import saml_settings  # only sites with such a provider load libxml2 and xmlsec

    try:
        found = saml_settings.read_metadata(provider, fresh=True)
    except saml_settings.SamlMetadataError as error:
        raise _Unusable(str(error)) from error
    try:
        texts = [base64.b64decode(one) for one in saml_settings.certificates_of(found)]
        return max(x509.load_der_x509_certificate(text).not_valid_after_utc for text in texts)
    except (ValueError, LookupError):
        return None


def _has_emergency_admin() -> bool:
    found = User.objects.filter(email__iexact=settings.SSO_EMERGENCY_ADMIN or " ", is_active=True).first()
    return found is not None and found.has_usable_password()
