"""Signing up and in, passwords, sessions and invitations."""

from __future__ import annotations

from typing import Any

from environs import validate

from config.env import at_least, contacts, http_url, networks, sign_up
from config.settings.environment import a_rate, env
from config.settings.site import LOOPBACK_ONLY

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
# open: anybody; approval: anybody asks, staff approve; invitation: invited addresses only. The default is open where
# only this machine is served, else invitation.
SIGN_UP: str = sign_up(env, loopback_only=LOOPBACK_ONLY)
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/"
PASSWORD_HASHERS = [
    "accounts.auth.password_hashing.Argon2",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
_VALIDATION = "django.contrib.auth.password_validation."
AUTH_PASSWORD_VALIDATORS: list[dict[str, Any]] = [
    {"NAME": _VALIDATION + "MinimumLengthValidator", "OPTIONS": {"min_length": 8}},
    {"NAME": _VALIDATION + "CommonPasswordValidator"},
    {"NAME": _VALIDATION + "NumericPasswordValidator"},
    {"NAME": _VALIDATION + "UserAttributeSimilarityValidator", "OPTIONS": {"user_attributes": ("email", "name")}},
    {"NAME": "accounts.auth.passwords.RepetitionValidator"},
    {"NAME": "accounts.auth.passwords.GuessableWordValidator"},
]
SESSION_ENGINE = "accounts.auth.sessions"  # sessions are rows with a user; their sockets close with them
# A session ends so long after the log-in, and so long after the last request or the last sign of an open page.
SESSION_COOKIE_AGE = env.int("SESSION_DAYS", 14, validate=at_least(1)) * 24 * 3600
SESSION_IDLE_HOURS = env.float("SESSION_IDLE_HOURS", 72.0, validate=at_least(0.25))
SESSION_STAFF_HOURS = env.float("SESSION_STAFF_HOURS", 12.0, validate=at_least(0.25))
SESSION_STAFF_IDLE_MINUTES = env.float("SESSION_STAFF_IDLE_MINUTES", 60.0, validate=at_least(10))
PASSWORD_RESET_TIMEOUT = 24 * 3600  # seconds that a link to choose a new password is valid
ACCOUNT_ADAPTER = "accounts.auth.adapter.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_FORMS = {"signup": "accounts.auth.terms.TermsSignupForm"}
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
# none: logged in at once; optional: logged in at once, with a confirmation email; mandatory: logged in after following
# the link in the email. Only with mandatory does the sign-up page not reveal whether an address has an account.
ACCOUNT_EMAIL_VERIFICATION = env.str(
    "EMAIL_VERIFICATION", "none", validate=validate.OneOf(["none", "optional", "mandatory"])
)
ACCOUNT_CHANGE_EMAIL = True  # one address per user; a new one replaces it once it is confirmed
ACCOUNT_REAUTHENTICATION_REQUIRED = True
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_LOGOUT_REDIRECT_URL = "account_login"
ERASE_GRACE_DAYS = env.int("ERASE_GRACE_DAYS", 7, validate=at_least(0))  # how long an erasure can be cancelled
INVITATION_DAYS = env.int("INVITATION_DAYS", 7, validate=at_least(1))  # how long an invitation link is valid
RATE_INVITATIONS: str = env.str("RATE_INVITATIONS", "60/h", validate=a_rate)  # sent by one staff member
# Owners of a conversation find people to add by their names. The default is on where not everybody may sign up.
PEOPLE_DIRECTORY = env.bool("PEOPLE_DIRECTORY", SIGN_UP != "open")
# A mail about a mention that its reader has not seen for so many minutes; 0: none.
MENTION_MAIL_MINUTES = env.int("MENTION_MAIL_MINUTES", 10, validate=at_least(0))
RATE_MENTION_MAILS: str = env.str(
    "RATE_MENTION_MAILS", "6/h", validate=a_rate
)  # to one person, each with all that is due
RATE_ADDED_MAILS: str = env.str("RATE_ADDED_MAILS", "20/d", validate=a_rate)  # "you were added", to one person
# Log-in attempts from one IP address, failed or not: number/time/ip.
LOGIN_RATE: str = env.str("LOGIN_RATE", "30/m/ip", validate=validate.Regexp(r"(off|0|[1-9]\d*/\d*[smhd]/ip)\Z"))
# allauth counts in the cache. Failed log-ins count per email address and network (accounts.auth.adapter).
ACCOUNT_RATE_LIMITS = {"login": None if LOGIN_RATE in ("off", "0") else LOGIN_RATE, "login_failed": "10/m/ip,5/15m/key"}
# Proxies in front that set X-Forwarded-For.
ALLAUTH_TRUSTED_PROXY_COUNT = env.int("TRUSTED_PROXIES", 0, validate=at_least(0))
# The admin answers only these networks (CIDR, separated by commas); empty: all.
STAFF_NETWORKS: list[str] = networks(env, "STAFF_NETWORKS")
RATE_SCIM: str = env.str("RATE_SCIM", "1200/m", validate=a_rate)  # requests of one directory
# /.well-known/security.txt: where vulnerabilities of this site are reported, as mailto: or https: addresses, separated
# by commas. Empty: there is no such file.
SECURITY_CONTACT: list[str] = contacts(env, "SECURITY_CONTACT")
SECURITY_POLICY_URL: str = http_url(env, "SECURITY_POLICY_URL")
# Acts of staff that a second one must approve: erase (a user), export (all data of a user, lists, the audit log).
FOUR_EYES: list[str] = env.list("FOUR_EYES", [], validate=validate.ContainsOnly(["erase", "export"]))
