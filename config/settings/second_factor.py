"""The second factor: who needs one, and how browsers are remembered (docs/security.md)."""

from __future__ import annotations

from datetime import timedelta

from config.env import at_least
from config.settings.environment import env
from config.settings.protection import HTTPS
from config.settings.site import ALLOWED_ORIGINS, LOOPBACK_ONLY

# "none", or several of: "staff", "everybody", names of groups. The default is staff where others than this machine
# reach the site over https.
_default = "staff" if HTTPS and not LOOPBACK_ONLY and any(one.startswith("https://") for one in ALLOWED_ORIGINS) else ""
_names: list[str] = env.list("SECOND_FACTOR_REQUIRED", [_default])
SECOND_FACTOR_REQUIRED: frozenset[str] = frozenset(name.strip() for name in _names) - {"", "none"}
SECOND_FACTOR_GRACE_DAYS = env.int("SECOND_FACTOR_GRACE_DAYS", 7, validate=at_least(0))
# A browser that its user chooses to remember is not asked for the second factor for so many days; 0: none is.
SECOND_FACTOR_REMEMBER_DAYS = env.int("SECOND_FACTOR_REMEMBER_DAYS", 30, validate=at_least(0))

MFA_ADAPTER = "accounts.auth.second_factor.adapter.SecondFactorAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_FORMS = {
    "authenticate": "accounts.auth.second_factor.forms.CodeForm",
    "reauthenticate": "accounts.auth.second_factor.forms.ProofForm",
    "activate_totp": "accounts.auth.second_factor.forms.ActivateForm",
    "add_webauthn": "accounts.auth.second_factor.forms.AddPasskeyForm",
    "edit_webauthn": "accounts.auth.second_factor.forms.RenamePasskeyForm",
}
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_ALLOW_UNVERIFIED_EMAIL = True  # EMAIL_VERIFICATION decides whether an unverified account may do anything at all
MFA_TOTP_TOLERANCE = 1  # codes of the step before and after: clocks of phones differ (RFC 6238 §5.2)
MFA_TRUST_ENABLED = SECOND_FACTOR_REMEMBER_DAYS > 0
MFA_TRUST_COOKIE_AGE = timedelta(days=SECOND_FACTOR_REMEMBER_DAYS)
MFA_TRUST_COOKIE_NAME = "__Host-remembered" if HTTPS else "remembered"
