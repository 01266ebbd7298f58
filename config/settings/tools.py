"""What tools may fetch (docs/tools.md)."""

from __future__ import annotations

from environs import validate

from config.env import at_least, http_url, networks
from config.settings.environment import env

# Tools read no address of a private network, of this machine or of a cloud provider's own services, but for these.
FETCH_ALLOWED_NETWORKS: list[str] = networks(env, "FETCH_ALLOWED_NETWORKS")
FETCH_PROXY: str = http_url(env, "FETCH_PROXY")  # through which tools fetch. Those of the environment are not used.
FETCH_SECONDS = env.float("FETCH_SECONDS", 20.0, validate=at_least(1))  # for one fetch with its redirects
FETCH_MAX_BYTES = env.int("FETCH_MAX_BYTES", 2_000_000, validate=validate.Range(min=10_000, max=50_000_000))
TOOL_APPROVAL_HOURS = env.float("TOOL_APPROVAL_HOURS", 72.0, validate=at_least(0.01))  # an answer waits for a decision
