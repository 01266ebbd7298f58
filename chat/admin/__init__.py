"""The admin pages of conversations, messages, runs, recordings, models, moderation rules, presets and prompts.

Importing this registers them.
"""

from chat.admin import conversations, known_models, messages, moderation_rules, presets, prompts, recordings, runs

__all__ = [
    "conversations",
    "known_models",
    "messages",
    "moderation_rules",
    "presets",
    "prompts",
    "recordings",
    "runs",
]
