"""The admin pages of conversations, messages, runs, recordings, models, moderation, presets, prompts and devices.

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
    notified_devices,
    presets,
    prompts,
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
    "notified_devices",
    "presets",
    "prompts",
    "recordings",
    "runs",
]
