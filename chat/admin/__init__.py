"""The admin pages of conversations, messages, runs, recordings, models, moderation, presets and prompts.

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
    recordings,
    runs,
    share_links,
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
    "recordings",
    "runs",
    "share_links",
]
