"""The admin pages of conversations, messages, runs, recordings, models, presets and prompts.

Importing this registers them.
"""

from chat.admin import conversations, known_models, messages, presets, prompts, recordings, runs

__all__ = ["conversations", "known_models", "messages", "presets", "prompts", "recordings", "runs"]
