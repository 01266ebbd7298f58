"""The admin pages of conversations, messages, runs, recordings, models and presets. Importing this registers them."""

from chat.admin import conversations, known_models, messages, presets, recordings, runs

__all__ = ["conversations", "known_models", "messages", "presets", "recordings", "runs"]
