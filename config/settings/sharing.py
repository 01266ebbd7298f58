"""Share links: who may create them, who may follow them, and how many may watch (docs/sharing.md)."""

from __future__ import annotations

from environs import validate

from config.env import count_or_off
from config.settings.environment import a_rate, env

# Who of a conversation's members may create share links. `off` also ends those that exist.
SHARE_LINKS: str = env.str("SHARE_LINKS", "owners", validate=validate.OneOf(["off", "owners", "editors"]))
SHARE_WITH_ANYONE = env.bool("SHARE_WITH_ANYONE", False)  # links that need neither an account nor a password
RATE_SHARE_OPENS: str = env.str("RATE_SHARE_OPENS", "240/m", validate=a_rate)  # per address: pages, guesses, streams
RATE_SHARE_PASSWORDS: str = env.str("RATE_SHARE_PASSWORDS", "20/m", validate=a_rate)  # per address: passwords tried
RATE_WATCHERS_PER_ADDRESS = count_or_off(env, "RATE_WATCHERS_PER_ADDRESS", 100)  # of live shares, at once
RATE_WATCHERS_PER_LINK = count_or_off(env, "RATE_WATCHERS_PER_LINK", 2_000)
