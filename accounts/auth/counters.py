"""Counters since the process started. `chat.telemetry.metrics` exports them."""

from __future__ import annotations

from collections import Counter

tickets: Counter[str] = Counter()  # issued, rate_limited, unavailable
logins: Counter[str] = Counter()  # ok, failed, locked (refused after too many failures)
security_events: Counter[str] = Counter()  # the verbs of accounts.security_log
SECURITY_EVENTS = (
    "login", "login_failed", "account_locked", "sign_up", "password_change", "password_reset", "email_change",
    "permission_refused", "api_token_created", "api_token_revoked",
    "webhook_created", "webhook_secret_renewed", "webhook_deleted",
    "second_factor_added", "second_factor_removed", "second_factor_failed",
    "recovery_codes_replaced", "recovery_code_used", "browsers_forgotten", "new_device", "password_removed",
    "sso_connected", "sso_disconnected", "sso_claims_applied", "sso_refused", "sso_back_channel_logout",
    "sso_single_logout",
)  # fmt: skip
API_REFUSALS = ("missing", "unknown", "expired", "revoked", "inactive", "terms")
api_refusals: Counter[str] = Counter()  # requests of the API without a valid token, by reason
