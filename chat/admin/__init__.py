"""The admin pages of conversations, messages, runs, waiting lines, recordings, models, moderation, presets, prompts.

Importing this registers them.
"""

from chat.admin import (
    conversations,
    known_models,
    messages,
    moderation_cases,
    moderation_figures,
    moderation_policy,
    moderation_rules,
    presets,
    prompts,
    queued,
    recordings,
    runs,
)

__all__ = [
    "conversations",
    "known_models",
    "messages",
    "moderation_cases",
    "moderation_figures",
    "moderation_policy",
    "moderation_rules",
    "presets",
    "prompts",
    "queued",
    "recordings",
    "runs",
]
