"""What browsers are told to enforce: https, the content security policy and the permissions policy."""

from __future__ import annotations

from csp.constants import NONCE, NONE, SELF

from config.settings.environment import a_rate, env

# Everything over https, behind a proxy that terminates TLS and sets X-Forwarded-Proto.
# `manage.py up` on a loopback address turns it off.
HTTPS = env.bool("HTTPS", True)
if HTTPS:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_SSL_REDIRECT = True
    SECURE_REDIRECT_EXEMPT = [r"^livez$", r"^readyz$", r"^metrics$"]  # requested by machines on the same network
    SECURE_HSTS_SECONDS = 365 * 24 * 3600
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True
    SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "__Host-sessionid", "__Host-csrftoken"
    # Subdomains and browsers' preload lists are the domain owner's decision, not that of one of its sites.
    SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]

X_FRAME_OPTIONS = "DENY"
# Pages use the microphone, the clipboard and passkeys, and nothing else of what browsers ask permission for.
PERMISSIONS_POLICY: dict[str, list[str]] = {
    "microphone": ["self"],
    "clipboard-write": ["self"],
    "publickey-credentials-create": ["self"],  # passkeys
    "publickey-credentials-get": ["self"],
    **{
        name: []
        for name in (
            "accelerometer",
            "browsing-topics",
            "camera",
            "clipboard-read",
            "display-capture",
            "encrypted-media",
            "geolocation",
            "gyroscope",
            "hid",
            "idle-detection",
            "local-fonts",
            "magnetometer",
            "midi",
            "payment",
            "screen-wake-lock",
            "serial",
            "usb",
            "xr-spatial-tracking",
        )
    },
}
RATE_CSP_REPORTS: str = env.str("RATE_CSP_REPORTS", "30/m", validate=a_rate)  # logged by one web process
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF, NONCE],
        "style-src": [SELF, NONCE],
        "img-src": [SELF, "data:", "blob:"],
        "connect-src": [SELF],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "report-uri": ["/csp-report/"],
    }
}
