"""What allauth is told about the second factor: secrets are encrypted, and the last required factor stays."""

from __future__ import annotations

from typing import Any

from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from django.utils.translation import gettext_lazy as _

from accounts.auth.adapter import AccountAdapter
from accounts.auth.second_factor.policy import is_last_required
from accounts.lib import encryption
from accounts.models import User
from accounts.site import site


class SecondFactorAdapter(DefaultMFAAdapter):  # type: ignore[misc]  # allauth ships no types
    error_messages = {  # noqa: RUF012  # allauth reads it
        **DefaultMFAAdapter.error_messages,
        "cannot_delete_authenticator": _(
            "Your account needs a second factor. Add another one before you remove this one."
        ),
        "incorrect_code": _("That code isn’t right. Wait for the next one, or use a recovery code."),
    }

    def encrypt(self, text: str) -> str:
        return encryption.encrypt(text)

    def decrypt(self, encrypted_text: str) -> str:
        return encryption.decrypt(encrypted_text)

    def can_delete_authenticator(self, authenticator: Authenticator) -> bool:
        return not is_last_required(authenticator)

    def generate_authenticator_name(self, user: User, type: Authenticator.Type) -> str:  # noqa: A002  # allauth's name
        number = Authenticator.objects.filter(user=user, type=type).count() + 1
        return str(_("Passkey %(number)d")) % {"number": number}

    def send_notification_mail(self, *args: Any, **kwargs: Any) -> None:
        AccountAdapter().send_notification_mail(*args, **kwargs)

    def _get_site_name(self) -> str:
        return site().name
