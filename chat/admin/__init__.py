"""The admin pages of conversations and their messages, earlier texts, files, collections, ratings, runs, waiting
lines and recordings; of models, tools and their servers, moderation, presets, prompts, notified devices and periodic
jobs.

Importing this registers them.
"""

from chat.admin import (
    collections,
    conversations,
    files,
    known_models,
    messages,
    moderation_cases,
    moderation_figures,
    moderation_policy,
    moderation_rules,
    notified_devices,
    periodic_jobs,
    presets,
    prompts,
    queued,
    ratings,
    recordings,
    revisions,
    runs,
    share_links,
    text_search,
    tool_calls,
    tool_figures,
    tool_servers,
    tools,
    webhooks,
)

__all__ = [
    "collections",
    "conversations",
    "files",
    "known_models",
    "messages",
    "moderation_cases",
    "moderation_figures",
    "moderation_policy",
    "moderation_rules",
    "notified_devices",
    "periodic_jobs",
    "presets",
    "prompts",
    "queued",
    "ratings",
    "recordings",
    "revisions",
    "runs",
    "share_links",
    "text_search",
    "tool_calls",
    "tool_figures",
    "tool_servers",
    "tools",
    "webhooks",
]
