"""The admin pages of conversations, messages, runs, recordings and presets. Importing this registers them."""

from chat.admin import conversations, messages, presets, recordings, runs

__all__ = ["conversations", "messages", "presets", "recordings", "runs"]
