"""Rate limits, numbers of simultaneous things, and what is reserved from quotas (docs/limits.md).

"30/m": a burst of 30, then one every 2 s. Units: s, m, h, d, optionally with a number before. "off" or "0" means no
limit, also for connections and runs. While Redis is unavailable only the limit of runs applies.
"""

from __future__ import annotations

from environs import validate

from config.env import at_least, count_or_off
from config.settings.environment import a_rate, env

RATE_FRAMES: str = env.str("RATE_FRAMES", "200/s", validate=a_rate)  # per socket, including audio and acks
RATE_REFUSALS: str = env.str("RATE_REFUSALS", "50/10s", validate=a_rate)  # refusals until a socket is closed
RATE_COMMANDS: str = env.str("RATE_COMMANDS", "120/10s", validate=a_rate)  # per session, across its tabs
RATE_MESSAGES_PER_USER: str = env.str("RATE_MESSAGES_PER_USER", "30/m", validate=a_rate)  # with edits
RATE_MESSAGES_PER_ADDRESS: str = env.str("RATE_MESSAGES_PER_ADDRESS", "240/m", validate=a_rate)
# In a conversation of several people: of all its members together, and of each one.
RATE_MESSAGES_PER_CONVERSATION: str = env.str("RATE_MESSAGES_PER_CONVERSATION", "120/m", validate=a_rate)
RATE_MESSAGES_PER_MEMBER: str = env.str("RATE_MESSAGES_PER_MEMBER", "20/m", validate=a_rate)
MENTIONS_PER_HOUR = count_or_off(env, "MENTIONS_PER_HOUR", 100)  # people that one user mentions
RATE_RECORDINGS: str = env.str("RATE_RECORDINGS", "30/m", validate=a_rate)  # started by one user
RATE_SPEECH: str = env.str("RATE_SPEECH", "240/m", validate=a_rate)  # sentences that one user asks to be spoken
RATE_HTTP_COMMANDS: str = env.str("RATE_HTTP_COMMANDS", "60/m", validate=a_rate)  # per user: all but GET; and exports
MAX_REQUEST_BYTES = 1_048_576 * env.int("MAX_REQUEST_MB", 20, validate=validate.Range(min=1, max=2_000))  # of its body
IMPORT_MAX_MB = env.int("IMPORT_MAX_MB", 100, validate=at_least(0))  # of an uploaded file; 0: no imports in the page
IMPORT_CONVERSATIONS = env.int("IMPORT_CONVERSATIONS", 50_000, validate=at_least(1))  # of one import
RATE_IMPORTS: str = env.str("RATE_IMPORTS", "20/d", validate=a_rate)  # per user
RATE_EXPORTS: str = env.str("RATE_EXPORTS", "10/d", validate=a_rate)  # prepared in the background, per user
RATE_TICKETS: str = env.str("RATE_TICKETS", "60/m", validate=a_rate)  # per user; each socket needs one
# Programs ask with tokens of users (docs/api.md).
API_ENABLED = env.bool("API_ENABLED", True)
API_TOKENS = env.int("API_TOKENS", 10, validate=at_least(0))  # of one user, where the plan says nothing
API_IMAGES_MB = env.int("API_IMAGES_MB", 10, validate=validate.Range(min=0, max=50))  # images of one request; 0: none
API_MAX_KB = env.int("API_MAX_KB", 400, validate=validate.Range(min=1, max=10_000))  # text of one request
RATE_API: str = env.str("RATE_API", "60/m", validate=a_rate)  # requests with one token
RATE_API_REFUSED: str = env.str("RATE_API_REFUSED", "30/m", validate=a_rate)  # with no valid token, of one network
RATE_REFUSED_UPGRADES: str = env.str("RATE_REFUSED_UPGRADES", "300/m", validate=a_rate)  # of one network
RATE_CONNECTIONS_PER_USER = count_or_off(env, "RATE_CONNECTIONS_PER_USER", 20)  # at once
RATE_CONNECTIONS_PER_ADDRESS = count_or_off(env, "RATE_CONNECTIONS_PER_ADDRESS", 60)
RATE_RUNS_PER_USER = count_or_off(env, "RATE_RUNS_PER_USER", 8)  # answers in progress or queued
QUEUE_MESSAGES_PER_USER = count_or_off(env, "QUEUE_MESSAGES_PER_USER", 10)  # waiting in one conversation
# Reserved for an answer in progress from quotas of tokens and money, until its usage is known.
QUOTA_INPUT_TOKENS = env.int("QUOTA_INPUT_TOKENS", 1000, validate=at_least(1))
QUOTA_OUTPUT_TOKENS = env.int("QUOTA_OUTPUT_TOKENS", 1000, validate=at_least(1))
CURRENCY: str = env.str("CURRENCY", "USD", validate=validate.Regexp(r"[A-Z]{3}\Z", error="Not a code such as USD."))

TIMING_STAMPS = env.bool("TIMING_STAMPS", False)  # `make bench`: reports each hop of a first token in run.done
