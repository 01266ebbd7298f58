"""Browser notifications (Web Push): the site's key, and the push services that they may be sent to."""

from __future__ import annotations

from config.env import push_hosts, vapid_key
from config.settings.environment import VAR_DIR, a_rate, env

# Hosts of browsers' push services; `*.` allows the names below. `off`: no browser notifications.
PUSH_HOSTS: list[str] = push_hosts(env)
# The private key of the site (VAPID, P-256, 32 bytes in base64url). All machines of a site need the same one.
VAPID_PRIVATE_KEY: str = vapid_key(env, VAR_DIR) if PUSH_HOSTS else ""
# Where push services can reach the operator; the default is the address of EMAIL_FROM.
VAPID_CONTACT: str = env.str("VAPID_CONTACT", "")
RATE_PUSH: str = env.str("RATE_PUSH", "60/h", validate=a_rate)  # notifications to one user
