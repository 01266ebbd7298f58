"""The forms of codes. Wrong codes count as wrong passwords do (`accounts.auth.guessing`), and no code works twice."""

from __future__ import annotations

import hashlib
from typing import Any, Final

import structlog
from allauth.core import context
from allauth.mfa.base.forms import AuthenticateForm, ReauthenticateForm
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.forms import ActivateTOTPForm
from allauth.mfa.webauthn.forms import AddWebAuthnForm, EditWebAuthnForm
from django import forms
from django.conf import settings
from django.core.cache import cache
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.auth import guessing
from accounts.auth.adapter import place_of
from accounts.lib.encryption import UnreadableError

logger = structlog.get_logger(__name__)

CODE_ATTRS: Final = {
    "autocomplete": "one-time-code", "inputmode": "numeric", "autocapitalize": "none", "spellcheck": "false",
}  # fmt: skip


class _CodeChecks(forms.Form):
    """Refuses codes of a locked account unread, and a code of the app that was used already."""

    user: Any
    authenticator: Authenticator

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["code"] = forms.CharField(
            label=_("Code"), max_length=40, widget=forms.TextInput(attrs={**CODE_ATTRS, "autofocus": True}),
            help_text=_("The six digits of your authenticator app, or one of your recovery codes."),
        )  # fmt: skip

    def clean_code(self) -> str:
        if guessing.is_locked(self.user.email, place_of(context.request)):
            raise ValidationError(_("There were too many wrong codes. Wait a while, then try again."))
        try:
            code: str = super().clean_code()  # type: ignore[misc]  # of allauth's form, which this is mixed into
        except UnreadableError:
            logger.exception("second_factor_unreadable", user_id=str(self.user.pk))
            raise ValidationError(_("Your codes can’t be checked at the moment. Ask an administrator.")) from None
        if self.authenticator.type == Authenticator.Type.TOTP and not _use_once(self.user, code):
            raise ValidationError(_("This code was used already. Wait for the next one."))
        return code


class CodeForm(_CodeChecks, AuthenticateForm):  # type: ignore[misc]  # allauth ships no types
    """At the log-in."""


class ProofForm(_CodeChecks, ReauthenticateForm):  # type: ignore[misc]  # allauth ships no types
    """Before a dangerous act."""


class ActivateForm(ActivateTOTPForm):  # type: ignore[misc]  # allauth ships no types
    code = forms.CharField(
        label=gettext_lazy("Code of the app"), max_length=20, widget=forms.TextInput(attrs=CODE_ATTRS)
    )


class AddPasskeyForm(AddWebAuthnForm):  # type: ignore[misc]  # allauth ships no types
    name = forms.CharField(
        label=gettext_lazy("Name"), max_length=80, required=False,
        help_text=gettext_lazy("For you, to tell your passkeys apart."),
    )  # fmt: skip
    passwordless = forms.BooleanField(
        label=gettext_lazy("Log in with this passkey alone"), required=False, initial=True,
        help_text=gettext_lazy("Without a password. The device then asks for your fingerprint, face or PIN."),
    )  # fmt: skip


class RenamePasskeyForm(EditWebAuthnForm):  # type: ignore[misc]  # allauth ships no types
    name = forms.CharField(label=gettext_lazy("Name"), max_length=80)


def _use_once(user: Any, code: str) -> bool:
    """Whether this code of the user's app is used for the first time while it is valid.

    allauth remembers one for its own period only, but `MFA_TOTP_TOLERANCE` lets it be valid for longer.
    """
    seconds = 30 * (2 * settings.MFA_TOTP_TOLERANCE + 2)
    digest = hashlib.sha256(f"{user.pk} {code.strip()}".encode()).hexdigest()[:32]
    return bool(cache.add(f"second-factor:used:{digest}", 1, timeout=seconds))
